//! moby turns a YAML file into bootable Linux images.
