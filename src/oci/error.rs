//! What can be wrong with images.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::{Location, reference};

/// Why an image cannot be used.
#[derive(Debug)]
pub enum Error {
    /// A `--layout` that is not there or cannot be read.
    Open {
        /// The path given.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// A `--layout` that is neither a layout nor an archive of one.
    NotALayout {
        /// The path given.
        path: PathBuf,
        /// What was expected and found.
        what: String,
    },
    /// No layout has an image of the name.
    NotFound {
        /// The canonical reference.
        name: String,
        /// Where it was looked for.
        searched: Vec<String>,
        /// Names that are there and look like it.
        similar: Vec<String>,
        /// The cache folder, where it could be put.
        cache: Option<PathBuf>,
    },
    /// The image is there, but not for the architecture.
    Architecture {
        /// The canonical reference.
        name: String,
        /// The architecture asked for.
        wanted: String,
        /// Those that are there.
        found: Vec<String>,
    },
    /// A blob is missing.
    Missing {
        /// The image it belongs to.
        name: String,
        /// Where it should be.
        location: Location,
    },
    /// A blob is not what its descriptor says.
    Mismatch {
        /// The image it belongs to.
        name: String,
        /// Where it is.
        location: Location,
        /// What differs: "size", "digest", "diff_id".
        what: &'static str,
        /// The value expected.
        expected: String,
        /// The value found.
        found: String,
    },
    /// A blob could not be read.
    Read {
        /// The image it belongs to.
        name: String,
        /// Where it is.
        location: Location,
        /// What failed.
        source: io::Error,
    },
    /// JSON that is not what it should be.
    Json {
        /// The image it belongs to, or the layout.
        name: String,
        /// Where it is.
        location: Location,
        /// What it should be: "an image manifest".
        what: &'static str,
        /// What the parser says.
        message: String,
    },
    /// An image that is not a container image.
    NotAnImage {
        /// The canonical reference.
        name: String,
        /// Why not.
        what: String,
    },
    /// A layer that grows beyond belief.
    Bomb {
        /// The image it belongs to.
        name: String,
        /// Where it is.
        location: Location,
        /// Its size compressed, in bytes.
        compressed: u64,
        /// How far it was followed, in bytes.
        limit: u64,
    },
    /// A decompressed layer could not be written.
    Write {
        /// The folder it was written to.
        folder: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// A layout could not be changed.
    Update {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// A file of a layout that is to be changed cannot be read, so that what is in it would be lost.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system or the parser says.
        what: String,
    },
    /// A layer's tar is damaged.
    Tar {
        /// The image it belongs to.
        name: String,
        /// The layer's digest.
        digest: String,
        /// What the reader says.
        source: pax::ReadError,
    },
    /// An entry of a layer cannot be unpacked.
    Entry {
        /// The image it belongs to.
        name: String,
        /// The layer's digest.
        digest: String,
        /// The entry's name.
        path: Vec<u8>,
        /// Why not.
        source: tree::Error,
    },
}

impl Error {
    /// The image that it is about, as it was asked for.
    pub fn image(&self) -> Option<&str> {
        match self {
            Error::NotFound { name, .. }
            | Error::Architecture { name, .. }
            | Error::Missing { name, .. }
            | Error::Mismatch { name, .. }
            | Error::Read { name, .. }
            | Error::Json { name, .. }
            | Error::NotAnImage { name, .. }
            | Error::Bomb { name, .. }
            | Error::Tar { name, .. }
            | Error::Entry { name, .. } => Some(name),
            Error::Open { .. }
            | Error::NotALayout { .. }
            | Error::Write { .. }
            | Error::Update { .. }
            | Error::Unreadable { .. } => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Open { path, source } => write!(f, "cannot read the layout {}: {source}", path.display()),
            Error::NotALayout { path, what } => write!(
                f,
                "{} is not an image layout: {what}\nhelp: --layout takes an OCI layout folder (with oci-layout, index.json and blobs), \
                 an OCI archive (a tar of one), or what `docker save` wrote",
                path.display()
            ),
            Error::NotFound {
                name,
                searched,
                similar,
                cache,
            } => {
                write!(f, "no image {name}")?;
                match searched.as_slice() {
                    [] => write!(f, ": there is no layout to look in")?,
                    places => write!(f, " in {}", places.join(", "))?,
                }
                for other in similar {
                    write!(f, "\nhelp: there is {other}")?;
                }
                let target = cache.as_ref().map_or("DIR".into(), |cache| cache.display().to_string());
                let name = reference::parse(name).map_or(name.clone(), |name| name.by_one());
                write!(
                    f,
                    "\nhelp: name a layout that has it with --layout, or copy it into the cache where there is a network: \
                     skopeo copy docker://{name} oci:{target}:{name}"
                )
            }
            Error::Architecture { name, wanted, found } => write!(
                f,
                "the image {name} is not there for {wanted}, only for {}\nhelp: --arch chooses another architecture",
                found.join(", ")
            ),
            Error::Missing { name, location } => write!(
                f,
                "{name}: the blob {location} is missing\nhelp: copy the image into the layout again"
            ),
            Error::Mismatch {
                name,
                location,
                what,
                expected,
                found,
            } => write!(
                f,
                "{name}: {location} is damaged: its {what} should be {expected} and is {found}\nhelp: copy the image into the layout again"
            ),
            Error::Read { name, location, source } => write!(f, "{name}: cannot read {location}: {source}"),
            Error::Json {
                name,
                location,
                what,
                message,
            } => write!(f, "{name}: {location} is not {what}: {message}"),
            Error::NotAnImage { name, what } => write!(f, "{name} is not a container image: {what}"),
            Error::Bomb {
                name,
                location,
                compressed,
                limit,
            } => write!(
                f,
                "{name}: the layer {location} of {compressed} bytes expands to more than {limit} bytes, which no real one does\n\
                 help: if it is meant, keep the layer in the layout uncompressed"
            ),
            Error::Write { folder, source } => write!(
                f,
                "cannot write a decompressed layer into {}: {source}\nhelp: --cache names another folder",
                folder.display()
            ),
            Error::Update { path, source } => write!(f, "cannot write {}: {source}", path.display()),
            Error::Unreadable { path, what } => write!(
                f,
                "cannot read {}: {what}\nhelp: the file is left as it is, and nothing was changed. Put a good copy in its place; \
                 without one, move it away, and import or build the images that it named again",
                path.display()
            ),
            Error::Tar { name, digest, source } => write!(f, "{name}: the layer {digest} is damaged: {source}"),
            Error::Entry {
                name,
                digest,
                path,
                source,
            } => write!(
                f,
                "{name}: the layer {digest} has an entry that cannot be unpacked, {}: {source}",
                tree::brief(path)
            ),
        }
    }
}

impl std::error::Error for Error {}
