//! The table of formats.

/// What a format is made of and called.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Its name for `--format`.
    pub name: &'static str,
    /// What it holds, in a few words.
    pub about: &'static str,
    /// What is added to the name of the build, one for each file.
    pub files: &'static [&'static str],
    /// How it is made.
    pub kind: Kind,
}

/// The ways of making files from a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The tree as a tar.
    Tar,
    /// The tree as a tar with a Dockerfile.
    Docker,
    /// Kernel, initrd and command line as files.
    KernelInitrd,
    /// The same in a tar.
    TarKernelInitrd,
}

impl Kind {
    /// Whether it is one stream, so that `--output` can name it.
    pub fn is_stream(self) -> bool {
        matches!(self, Kind::Tar | Kind::Docker)
    }
}

/// All formats.
pub const FORMATS: &[Format] = &[
    Format {
        name: "kernel+initrd",
        about: "kernel, initrd and command line",
        files: &["-kernel", "-initrd.img", "-cmdline"],
        kind: Kind::KernelInitrd,
    },
    Format {
        name: "tar-kernel-initrd",
        about: "the same in a tar",
        files: &["-initrd.tar"],
        kind: Kind::TarKernelInitrd,
    },
    Format {
        name: "tar",
        about: "the root filesystem as a tar",
        files: &[".tar"],
        kind: Kind::Tar,
    },
    Format {
        name: "docker",
        about: "the root filesystem as a tar with a Dockerfile",
        files: &[".docker"],
        kind: Kind::Docker,
    },
];

/// The format of a name.
pub fn find(name: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.name == name)
}
