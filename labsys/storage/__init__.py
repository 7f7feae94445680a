"""The lab folder: layout, atomic writes, one module per noun, video, results and the files of other programs."""
