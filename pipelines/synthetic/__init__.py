"""A runner, a treadmill and a camera rig with known truth. Imports neither biomechanics nor longitudinal.

trial = make_trial(RunnerParameters(speed_mps=3.0), kind=TrialKind.RUN, seconds=20.0, rate_hz=100.0, seed=1)
seen = observe(trial, make_rig(4), NoiseModel.dlc_like(), seed=1)
write_synthetic(folder, trial, static, what=SynthOutput.LANDMARKS3D)
"""
