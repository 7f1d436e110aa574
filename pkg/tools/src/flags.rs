//! Command lines in the syntax of Go's package `flag`: `-name value`, `-name=value`, with one dash or
//! two, a switch also as `-name=true`, all before the first argument that is not an option.

use std::collections::BTreeMap;

use crate::Error;

/// Parsed command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flags {
    values: BTreeMap<String, Vec<String>>,
    /// Arguments after the options.
    pub rest: Vec<String>,
}

impl Flags {
    /// Returns the last value of an option, or a default.
    pub fn value<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        let values = self.values.get(name);
        values.and_then(|values| values.last()).map_or(default, String::as_str)
    }

    /// Returns all values of an option.
    pub fn values(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Returns whether a switch is on.
    pub fn is_on(&self, name: &str, default: bool) -> bool {
        match self.value(name, "") {
            "" => default,
            text => ["1", "t", "true", "T", "True", "TRUE"].contains(&text),
        }
    }
}

/// Parses arguments. Options in `valued` take a value.
///
/// # Errors
/// An option is not known, or its value is missing.
pub fn parse(arguments: impl Iterator<Item = String>, valued: &[&str], switches: &[&str]) -> Result<Flags, Error> {
    let mut flags = Flags::default();
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next_if(|argument| argument.len() > 1 && argument.starts_with('-')) {
        if argument == "--" {
            break;
        }
        let option = argument
            .strip_prefix("--")
            .or(argument.strip_prefix('-'))
            .unwrap_or(&argument);
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, None),
        };
        let value = if switches.contains(&name) {
            value.unwrap_or_else(|| "true".to_owned())
        } else if valued.contains(&name) {
            value
                .or_else(|| arguments.next())
                .ok_or_else(|| Error::Usage(format!("option -{name} has no value")))?
        } else {
            let known: Vec<String> = valued.iter().chain(switches).map(|name| format!("-{name}")).collect();
            let message = format!("unknown option -{name}; the options are {}", known.join(", "));
            return Err(Error::Usage(message));
        };
        flags.values.entry(name.to_owned()).or_default().push(value);
    }
    flags.rest = arguments.collect();
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Flags, Error> {
        let arguments = arguments.iter().map(|text| (*text).to_owned());
        parse(arguments, &["label", "type"], &["force"])
    }

    #[test]
    fn options_are_written_in_several_ways() {
        for arguments in [
            &["-label", "a=b", "-force", "/dev/vda"][..],
            &["--force=true", "--label=a=b", "/dev/vda"],
            &["-label", "x", "-label=a=b", "--force", "--", "/dev/vda"],
        ] {
            let flags = parsed(arguments).unwrap();
            assert_eq!(flags.value("label", ""), "a=b");
            assert_eq!(flags.value("type", "ext4"), "ext4");
            assert!(flags.is_on("force", false));
            assert_eq!(flags.rest, ["/dev/vda"]);
        }
        assert!(!parsed(&["-force=false"]).unwrap().is_on("force", true));
    }

    #[test]
    fn mistakes_are_reported() {
        assert!(
            parsed(&["-labels", "x"])
                .unwrap_err()
                .to_string()
                .contains("-labels; the options are -label, -type, -force")
        );
        assert!(parsed(&["-label"]).unwrap_err().to_string().contains("has no value"));
        // After the first argument there are no options.
        assert_eq!(parsed(&["/dev/vda", "-force"]).unwrap().rest, ["/dev/vda", "-force"]);
    }
}
