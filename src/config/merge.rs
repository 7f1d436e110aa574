//! Merging of several YAML files.

use std::collections::BTreeMap;

use super::{Config, Kernel};
use crate::diagnostic::Span;

impl Config {
    /// Merges a further source: fields of the kernel and boot loaders are replaced, lists are extended.
    pub(super) fn append(&mut self, part: Config, spans: BTreeMap<String, Span>) {
        let lengths = [
            ("init[", self.init.len()),
            ("onboot[", self.onboot.len()),
            ("onshutdown[", self.onshutdown.len()),
            ("services[", self.services.len()),
            ("files[", self.files.len()),
            ("volumes[", self.volumes.len()),
            ("disk.partitions[", self.disk.partitions.len()),
            ("trust.image[", self.trust.image.len()),
            ("trust.org[", self.trust.org.len()),
        ];
        for (path, span) in spans {
            let moved = lengths.iter().find_map(|(section, length)| {
                let (number, rest) = path.strip_prefix(section)?.split_once(']')?;
                Some(format!("{section}{}]{rest}", number.parse::<usize>().ok()? + length))
            });
            self.spans.insert(moved.unwrap_or(path), span);
        }
        let Kernel {
            image,
            cmdline,
            binary,
            tar,
            ucode,
        } = part.kernel;
        for (to, from) in [
            (&mut self.kernel.image, image),
            (&mut self.kernel.cmdline, cmdline),
            (&mut self.kernel.binary, binary),
            (&mut self.boot.bios, part.boot.bios),
            (&mut self.boot.efi, part.boot.efi),
            (&mut self.boot.initrd, part.boot.initrd),
            (&mut self.boot.rpi, part.boot.rpi),
            (&mut self.trust.policy, part.trust.policy),
        ] {
            if !from.is_empty() {
                *to = from;
            }
        }
        self.kernel.tar = tar.or(self.kernel.tar.take());
        self.kernel.ucode = ucode.or(self.kernel.ucode.take());
        self.boot.timeout = part.boot.timeout.or(self.boot.timeout);
        self.init.extend(part.init);
        self.onboot.extend(part.onboot);
        self.onshutdown.extend(part.onshutdown);
        self.services.extend(part.services);
        self.files.extend(part.files);
        self.volumes.extend(part.volumes);
        self.disk.partitions.extend(part.disk.partitions);
        self.trust.image.extend(part.trust.image);
        self.trust.org.extend(part.trust.org);
    }
}
