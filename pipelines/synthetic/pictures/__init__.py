"""The synthetic lab in pictures: what cameras would film of a runner, a treadmill, a board and a room, with the truth.

studio = make_studio(Split.DEMO, 1, make_rig(4, size_px=(640, 480)))
runner = cast_runner(studio, RunnerParameters(), kind=TrialKind.RUN, seconds=10.0)
for shot in shoot_runner(studio.stage(0), runner, times_s, exposure_s=0.002, seed=1): ...
render_take(folder, studio, runner, Filming(rate_hz=60.0, seconds=10.0))
"""
