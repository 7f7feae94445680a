"""The files that describe a lab's hardware and visits, read strictly: rigs, boards, protocols, treadmill tags."""

from labsys.capture.board_file import load_board_config
from labsys.capture.protocol import Protocol, load_protocol
from labsys.capture.rig import Rig, load_rig_config
from labsys.capture.tags import TagSet, load_tags

__all__ = ["Protocol", "Rig", "TagSet", "load_board_config", "load_protocol", "load_rig_config", "load_tags"]
