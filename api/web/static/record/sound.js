// What is heard: a high tone when a take begins, a low one when it ends. A browser sounds only after somebody has acted.
let sound = null;

export function allowSound() {
  sound ??= new AudioContext();
}

export function tone(phase) {
  const pitch_hz = { recording: 880, finishing: 440 }[phase];
  if (!pitch_hz || !sound) return;
  const voice = sound.createOscillator();
  const volume = sound.createGain();
  volume.gain.value = 0.2;
  voice.frequency.value = pitch_hz;
  voice.connect(volume).connect(sound.destination);
  voice.start();
  voice.stop(sound.currentTime + 0.25);
}
