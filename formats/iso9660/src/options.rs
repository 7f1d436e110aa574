//! What the caller decides.

use tree::Time;

/// What an image is to have besides the files.
#[derive(Clone, Debug)]
pub struct Options {
    /// The volume's name, by which it is found: at most 32 characters. Readers that are strict
    /// expect `A-Z`, `0-9` and `_`.
    pub volume_id: String,
    /// The system that uses the system area: at most 32 characters.
    pub system_id: String,
    /// The name of the set that the volume belongs to: at most 128 characters.
    pub volume_set_id: String,
    /// Who publishes it: at most 128 characters.
    pub publisher_id: String,
    /// Who prepared the data: at most 128 characters.
    pub preparer_id: String,
    /// The program that made it: at most 128 characters.
    pub application_id: String,
    /// When the volume was made.
    pub time: Time,
    /// Whether there are folders for Windows too, with names of up to 64 characters.
    pub joliet: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            volume_id: "ISOIMAGE".into(),
            system_id: "LINUX".into(),
            volume_set_id: String::new(),
            publisher_id: String::new(),
            preparer_id: String::new(),
            application_id: String::new(),
            time: Time::default(),
            joliet: false,
        }
    }
}
