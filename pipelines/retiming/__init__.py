"""The parts of retiming: clock models, stamps, interpolation, and offsets found from landmarks."""
