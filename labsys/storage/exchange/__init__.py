"""The files of other programs: TRC, MOT, CSV, DeepLabCut and OpenPose. Their units and layouts stop here."""
