"""From the frame of a solved rig to LAB: boards, points, tags and feet."""
