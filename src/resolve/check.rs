//! Errors of a request that are known without an image.

use super::sources;
use crate::diagnostic::Diagnostic;
use crate::output;
use crate::plan::boot_files::Loader;
use crate::plan::formats::{Format, Layout, Root, Table};
use crate::plan::{self, Error, MAX_CMDLINE};
use crate::request::Request;

/// Finds outputs that cannot be created, files of the host that are missing, and options that a
/// format does not allow.
pub fn request(request: &Request) -> Vec<Diagnostic> {
    let mut errors = output::check(request);
    errors.extend(sources::check_all(&request.config, request.sources.as_ref()));
    for format in &request.formats {
        errors.extend(format_errors(format, request));
    }
    errors
}

fn format_errors(format: &Format, request: &Request) -> Vec<Diagnostic> {
    let kernel = &request.config.kernel;
    let mut errors = Vec::new();
    if format.needs_kernel() && kernel.image.is_empty() {
        errors.push(Error::NoKernel.into());
    }
    if let Root::On(filesystem) = format.root(request.root)
        && !request.root_mount(format).is_empty()
        && let Err(error) = plan::check_compression(filesystem, request.compression)
    {
        errors.push(error.into());
    }
    let len = kernel.cmdline.trim().len();
    if len > MAX_CMDLINE && format.loaders(request.arch).contains(&Loader::Bios) {
        let error = Diagnostic::from(Error::Cmdline { len });
        errors.push(Diagnostic {
            field: "kernel.cmdline".into(),
            ..error
        });
    }
    errors.extend(partition_errors(format, request));
    if let Err(error) = plan::check_size(format, &request.output_options()) {
        errors.push(Diagnostic::error(error.to_string()).help(error.help()));
    }
    errors
}

/// Finds partitions of the YAML with a type that the partition table of a format does not have.
fn partition_errors(format: &Format, request: &Request) -> Vec<Diagnostic> {
    let has_gpt = match format.layout {
        Layout::Disk(table, _) => table == Table::Gpt,
        Layout::Extlinux | Layout::SdCard => false,
        _ => return Vec::new(),
    };
    let table = if has_gpt { "GPT" } else { "MBR" };
    let partitions = request.config.disk.partitions.iter().enumerate();
    let errors = partitions.filter_map(|(at, partition)| {
        let kind = partition.partition_type()?;
        let fits = if has_gpt {
            kind.guid().is_some()
        } else {
            kind.byte().is_some()
        };
        let message = format!(
            "the {table} of the format {} cannot have the partition type {kind}",
            format.name
        );
        let help = if has_gpt {
            "use a name or a GUID"
        } else {
            "use a byte, such as 0x83"
        };
        (!fits).then(|| Diagnostic::field(format!("disk.partitions[{at}].type"), message).help(help))
    });
    errors.collect()
}
