//! Options as Go's package `flag` takes them: `-name value`, `-name=value`, with one dash or two,
//! a switch also as `-name=true`, all before the first argument that is none.

use std::collections::BTreeMap;

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Given {
    values: BTreeMap<String, Vec<String>>,
    /// The arguments behind the options.
    pub rest: Vec<String>,
}

impl Given {
    /// The last value of an option, or a default.
    pub fn value<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        let values = self.values.get(name);
        values.and_then(|values| values.last()).map_or(default, String::as_str)
    }

    /// All values of an option.
    pub fn values(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether a switch is on.
    pub fn on(&self, name: &str, default: bool) -> bool {
        match self.value(name, "") {
            "" => default,
            text => ["1", "t", "true", "T", "True", "TRUE"].contains(&text),
        }
    }
}

/// Takes arguments apart.
///
/// # Errors
/// An option that is neither among those with a value nor among the switches, or has no value.
pub fn parse(arguments: impl Iterator<Item = String>, valued: &[&str], switches: &[&str]) -> Result<Given, String> {
    let mut given = Given::default();
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
                .ok_or_else(|| format!("the option -{name} needs a value"))?
        } else {
            let known: Vec<String> = valued.iter().chain(switches).map(|name| format!("-{name}")).collect();
            return Err(format!("there is no option -{name}; there are {}", known.join(", ")));
        };
        given.values.entry(name.to_owned()).or_default().push(value);
    }
    given.rest = arguments.collect();
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Given, String> {
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
            let given = parsed(arguments).unwrap();
            assert_eq!(given.value("label", ""), "a=b");
            assert_eq!(given.value("type", "ext4"), "ext4");
            assert!(given.on("force", false));
            assert_eq!(given.rest, ["/dev/vda"]);
        }
        assert!(!parsed(&["-force=false"]).unwrap().on("force", true));
    }

    #[test]
    fn mistakes_are_told() {
        assert!(
            parsed(&["-labels", "x"])
                .unwrap_err()
                .contains("-labels; there are -label, -type, -force")
        );
        assert!(parsed(&["-label"]).unwrap_err().contains("needs a value"));
        // What comes behind the first argument is none.
        assert_eq!(parsed(&["/dev/vda", "-force"]).unwrap().rest, ["/dev/vda", "-force"]);
    }
}
