"""One file per family of cameras; each speaks the CameraDriver protocol and is imported only when it is opened."""
