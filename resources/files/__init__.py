"""Files, whole or not there, on disks and object stores."""
