//! Synthetic images of everything that a machine is made of: kernels, boot loaders, firmware, an
//! init and containers. No other program, no network and no compression library takes part, so
//! that the bytes never change.
//!
//! No file here runs. Each has as much of its format as moby looks at.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use testing::sample::{noise, text};

use super::layout::{GZIP, Layer, Layout};

/// The version that the kernels state.
const VERSION: &str = "6.1.0-golden";
/// The modification time of files, in seconds of the Unix epoch.
const MTIME: u64 = 1_600_000_000;

/// Writes all images into a layout, each for amd64 and arm64.
pub fn write(layout: &mut Layout) {
    let plain = |tar: Tar| vec![Layer::plain(&tar.end())];
    let none = json!({});
    add(layout, "init:1", &json!({"Entrypoint": ["/init"]}), |_| plain(init()));
    add(layout, "more:1", &none, |_| plain(more()));
    add(layout, "app:1", &app_config(), |_| app());
    add(layout, "labelled:1", &labelled_config(), |_| app());
    add(layout, "kernel:modules", &none, |arch| {
        plain(kernel(arch, &modules(arch)))
    });
    add(layout, "kernel:built-in", &none, |arch| {
        plain(kernel(arch, &built_in(arch)))
    });
    add(layout, "syslinux:1", &none, |_| plain(syslinux()));
    add(layout, "systemd-boot:1", &none, |arch| plain(systemd_boot(arch)));
    add(layout, "initrd:1", &none, |_| {
        plain(Tar::default().program("init", &noise(30_000, 20)))
    });
    add(layout, "rpi-firmware:1", &none, |_| plain(rpi_firmware()));
}

/// The directory of the YAML files that use the images.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden")
}

/// `moby build` of the machine with everything, with a kernel of `testdata/golden/kernel-*.yml`, from
/// the images in `site/layout`.
pub fn build(site: &Path, arch: &str, kernel: &str, formats: &[&str], out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moby"));
    command
        .args([
            "-q",
            "build",
            "--rebuild",
            "--name",
            "m",
            "--arch",
            arch,
            "--format",
            &formats.join(","),
        ])
        .args(["--dir".as_ref(), out.as_os_str()])
        .args(["--layout".as_ref(), site.join("layout").as_os_str()])
        .args(["--cache".as_ref(), site.join("cache").as_os_str()])
        .args([&format!("kernel-{kernel}.yml"), "machine.yml"])
        .current_dir(directory())
        .env("PATH", "")
        .env("MOBY_OFFLINE", "1")
        .env_remove("SOURCE_DATE_EPOCH");
    command
}

fn add(layout: &mut Layout, name: &str, config: &Value, layers: impl Fn(&str) -> Vec<Layer>) {
    let manifests = ["amd64", "arm64"].map(|arch| layout.manifest_with(arch, config, &layers(arch)));
    let index = layout.index(&manifests);
    layout.name(&format!("example.org/{name}"), index);
}

/// A tar under construction.
#[derive(Default)]
pub struct Tar(Vec<u8>);

/// The metadata of a member of a tar.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    kind: u8,
    mode: u32,
    owner: (u64, u64),
    target: &'a str,
    device: (u32, u32),
}

impl Default for Member<'_> {
    fn default() -> Self {
        Member {
            kind: b'0',
            mode: 0o644,
            owner: (0, 0),
            target: "",
            device: (0, 0),
        }
    }
}

impl Tar {
    /// Adds a member.
    pub fn member(mut self, name: &str, member: Member, content: &[u8]) -> Tar {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::new(member.kind));
        header.set_mode(member.mode);
        for (field, text) in [(0, name), (157, member.target)] {
            assert!(text.len() <= 100, "{text}");
            header.as_mut_bytes()[field..field + text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_uid(member.owner.0);
        header.set_gid(member.owner.1);
        header.set_mtime(MTIME);
        header.set_size(content.len() as u64);
        header.set_device_major(member.device.0).unwrap();
        header.set_device_minor(member.device.1).unwrap();
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Adds the PAX records of the next member.
    fn records(self, records: &[(&str, &[u8])]) -> Tar {
        let mut bytes = Vec::new();
        for (key, value) in records {
            let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
            // The length counts its own digits.
            let len = (rest.len()..)
                .find(|len| len.to_string().len() + rest.len() == *len)
                .unwrap();
            bytes.extend([len.to_string().as_bytes(), &rest].concat());
        }
        let kind = Member {
            kind: b'x',
            ..Member::default()
        };
        self.member("pax", kind, &bytes)
    }

    pub fn file(self, name: &str, content: &[u8]) -> Tar {
        self.member(name, Member::default(), content)
    }

    fn program(self, name: &str, content: &[u8]) -> Tar {
        let member = Member {
            mode: 0o755,
            ..Member::default()
        };
        self.member(name, member, content)
    }

    fn directory(self, name: &str, mode: u32) -> Tar {
        let member = Member {
            kind: b'5',
            mode,
            ..Member::default()
        };
        self.member(name, member, b"")
    }

    fn link(self, kind: u8, name: &str, target: &str) -> Tar {
        let member = Member {
            kind,
            mode: 0o777,
            target,
            ..Member::default()
        };
        self.member(name, member, b"")
    }

    fn symlink(self, name: &str, target: &str) -> Tar {
        self.link(b'2', name, target)
    }

    fn hard_link(self, name: &str, target: &str) -> Tar {
        self.link(b'1', name, target)
    }

    fn device(self, kind: u8, name: &str, device: (u32, u32)) -> Tar {
        let member = Member {
            kind,
            mode: 0o660,
            device,
            owner: (0, 6),
            ..Member::default()
        };
        self.member(name, member, b"")
    }

    /// Ends the tar and returns its bytes.
    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// Bytes as gzip without compression (RFC 1952 around stored blocks of RFC 1951).
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut chunks = bytes.chunks(0xffff).peekable();
    while let Some(chunk) = chunks.next() {
        out.push(u8::from(chunks.peek().is_none()));
        let len = chunk.len() as u16;
        out.extend([len.to_le_bytes(), (!len).to_le_bytes()].concat());
        out.extend(chunk);
    }
    out.extend(crc32fast::hash(bytes).to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}

fn init() -> Tar {
    let tar = Tar::default()
        .directory("bin", 0o755)
        .directory("dev", 0o755)
        .directory("etc", 0o755)
        .directory("proc", 0o555)
        .directory("root", 0o700)
        .directory("run", 0o755)
        .directory("sys", 0o555)
        .directory("tmp", 0o1777)
        .program("bin/rc.init", b"#!/bin/sh\n")
        .program("init", &noise(70_000, 1))
        .file("etc/os-release", b"ID=golden\nPRETTY_NAME=\"Golden Linux 1\"\n")
        .file("usr/share/doc/long", &text(300_000, 2))
        .file("usr/zeros", &[0; 200_000])
        .file("empty", b"")
        .symlink("sbin", "bin");
    // More names than one block of a directory holds.
    (0..200).fold(tar, |tar, number| {
        tar.file(&format!("usr/share/many/file-number-{number:04}"), &[number as u8])
    })
}

fn more() -> Tar {
    Tar::default()
        .file("etc/more", b"more\n")
        .hard_link("etc/more-again", "etc/more")
        .symlink("etc/mtab", "/proc/mounts")
        .program("bin/more", &text(5000, 3))
        .file("usr/share/many/file-number-0007", b"replaced")
}

/// A capability to open raw sockets, as setcap(8) stores it: revision 2, permitted and effective.
const NET_RAW: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A container with a bit of everything, in two layers.
fn app() -> Vec<Layer> {
    let long = format!(
        "usr/share/{}/a-file",
        "a-long-directory/".repeat(9).trim_end_matches('/')
    );
    let set_uid = Member {
        mode: 0o4755,
        owner: (0, 42),
        ..Member::default()
    };
    let owned = Member {
        mode: 0o600,
        owner: (1000, 1000),
        ..Member::default()
    };
    let lower = Tar::default()
        .directory("etc", 0o755)
        .file("etc/passwd", b"root:x:0:0::/root:/bin/sh\n")
        .program("bin/app", &noise(150_000, 4))
        .hard_link("bin/app-again", "bin/app")
        .hard_link("usr/lib/app-too", "bin/app")
        .symlink("bin/tool", "app")
        .symlink("etc/long-link", &"../a-directory".repeat(7))
        .member("bin/su", set_uid, b"su")
        .records(&[("SCHILY.xattr.security.capability", NET_RAW)])
        .program("bin/ping", b"ping")
        .records(&[
            ("SCHILY.xattr.user.note", b"a value"),
            ("SCHILY.xattr.user.large", &[b'x'; 600]),
            ("SCHILY.xattr.security.selinux", b"system_u:object_r:etc_t:s0\0"),
            ("mtime", b"1600000000.25"),
        ])
        .member("etc/app.conf", owned, &text(700, 5))
        .records(&[("path", long.as_bytes()), ("uid", b"3000000"), ("gid", b"70000")])
        .file("shortened", b"long name")
        .device(b'3', "dev/null", (1, 3))
        .device(b'4', "dev/disk", (259, 70_000))
        .device(b'6', "run/fifo", (0, 0))
        .file("var/cache/app/old", b"old")
        .file("var/cache/app/kept", b"kept")
        .file("var/gone", b"gone")
        .directory("var/www", 0o2775)
        .file("usr/lib/text", &text(200_000, 6));
    let upper = Tar::default()
        .file("var/.wh.gone", b"")
        .file("var/cache/app/.wh..wh..opq", b"")
        .file("var/cache/app/new", b"new")
        .file("etc/passwd", b"root:x:0:0::/root:/bin/sh\napp:x:42:42::/:/bin/app\n")
        .file("bin/tool", b"no link any more");
    let lower = lower.end();
    vec![
        Layer {
            stored: gzip(&lower),
            media_type: GZIP,
            ..Layer::plain(&lower)
        },
        Layer::plain(&upper.end()),
    ]
}

fn app_config() -> Value {
    json!({
        "Entrypoint": ["/bin/app"], "Cmd": ["--serve"], "Env": ["PATH=/bin", "A=0"], "WorkingDir": "/var",
    })
}

fn labelled_config() -> Value {
    let label = json!({
        "capabilities": ["CAP_SYS_ADMIN"], "binds": ["/etc/resolv.conf:/etc/resolv.conf"], "net": "host",
        "pid": "host", "runtime": {"mkdir": ["/var/lib/labelled"]},
    });
    json!({"Cmd": ["/bin/app"], "Labels": {"org.mobyproject.config": label.to_string()}})
}

/// A kernel in the forms that its architecture has, with its modules and microcode.
fn kernel(arch: &str, tar: &[u8]) -> Tar {
    let image = image();
    let (kernel, packed) = match arch {
        "amd64" => (bzimage(&gzip(&image)), bzimage(&gzip(&image))),
        _ => (image.clone(), gzip(&image)),
    };
    Tar::default()
        .file("kernel", &kernel)
        .file("kernel.gz", &packed)
        .file("vmlinuz.efi", &zboot(&gzip(&image)))
        .file("kernel.tar", tar)
        // Not a multiple of 4 bytes: what follows must be aligned.
        .file("ucode.cpio", &noise(1001, 7))
}

/// An Image of arm64 (Documentation/arch/arm64/booting.rst), which is a program for UEFI.
fn image() -> Vec<u8> {
    let mut image = noise(90_000, 8);
    image[..2].copy_from_slice(b"MZ");
    image[56..60].copy_from_slice(b"ARM\x64");
    let banner = format!("Linux version {VERSION} (golden)\n\0");
    image[3000..3000 + banner.len()].copy_from_slice(banner.as_bytes());
    image
}

/// A bzImage (Documentation/arch/x86/boot.rst): two sectors of setup, and the compressed kernel.
fn bzimage(payload: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 3 * 512];
    file[..2].copy_from_slice(b"MZ");
    file[0x1f1] = 2;
    file[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
    file[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file[0x300..0x300 + VERSION.len()].copy_from_slice(VERSION.as_bytes());
    file.extend(payload);
    file
}

/// A program for UEFI that unpacks a kernel (drivers/firmware/efi/libstub/zboot-header.S).
fn zboot(payload: &[u8]) -> Vec<u8> {
    let mut file = b"MZ\0\0zimg".to_vec();
    file.extend([64u32.to_le_bytes(), (payload.len() as u32).to_le_bytes()].concat());
    file.resize(64, 0);
    file.extend(payload);
    file
}

/// The modules of a kernel: path below `lib/modules/VERSION/kernel`, and the modules that it needs.
const MODULES: &[(&str, &[&str])] = &[
    ("drivers/virtio/virtio.ko", &[]),
    ("drivers/block/virtio_blk.ko", &["drivers/virtio/virtio.ko"]),
    ("drivers/block/loop.ko.gz", &[]),
    ("drivers/cdrom/cdrom.ko", &[]),
    ("drivers/scsi/sr_mod.ko", &["drivers/cdrom/cdrom.ko"]),
    ("drivers/scsi/sd_mod.ko", &[]),
    ("fs/squashfs/squashfs.ko.gz", &[]),
    ("fs/erofs/erofs.ko", &[]),
    ("fs/ext4/ext4.ko", &["fs/jbd2/jbd2.ko", "fs/mbcache.ko"]),
    ("fs/jbd2/jbd2.ko", &[]),
    ("fs/mbcache.ko", &[]),
    ("fs/isofs/isofs.ko", &[]),
    ("fs/overlayfs/overlay.ko", &[]),
    ("sound/unneeded.ko", &[]),
];

fn modules(arch: &str) -> Vec<u8> {
    let directory = format!("lib/modules/{VERSION}");
    let stem = |path: &str| {
        let name = path.rsplit('/').next().unwrap();
        name.split('.').next().unwrap().to_owned()
    };
    let (mut tar, mut dep) = (Tar::default(), String::new());
    for (path, needed) in MODULES {
        let depends: Vec<String> = needed.iter().map(|path| stem(path)).collect();
        let alias = format!("alias=golden:{}*", stem(path));
        let depends_on = format!("depends={}", depends.join(","));
        let module = module(&[&alias, &depends_on, &format!("name={}", stem(path))]);
        let stored = if path.ends_with(".gz") { gzip(&module) } else { module };
        tar = tar.file(&format!("{directory}/kernel/{path}"), &stored);
        let needed: Vec<String> = needed.iter().map(|path| format!(" kernel/{path}")).collect();
        dep.push_str(&format!("kernel/{path}:{}\n", needed.concat()));
    }
    tar = tar.file(&format!("{directory}/modules.dep"), dep.as_bytes());
    tar = tar.file(&format!("{directory}/modules.builtin"), b"kernel/fs/fat/fat.ko\n");
    if arch == "arm64" {
        tar = tar
            .file("boot/dtb/broadcom/bcm2711-rpi-4-b.dtb", &noise(3000, 9))
            .file("boot/dtb/broadcom/bcm2837-rpi-3-b.dtb", &noise(2000, 10))
            .file("boot/dtb/overlays/disable-bt.dtbo", &noise(500, 11));
    }
    tar.end()
}

/// No modules, and a list of what is built in.
fn built_in(arch: &str) -> Vec<u8> {
    let names = [
        "drivers/block/loop",
        "drivers/block/virtio_blk",
        "fs/squashfs/squashfs",
        "fs/erofs/erofs",
        "fs/ext4/ext4",
        "fs/isofs/isofs",
    ];
    let list: String = names.iter().map(|name| format!("kernel/{name}.ko\n")).collect();
    let directory = format!("lib/modules/{VERSION}");
    let mut tar = Tar::default()
        .file(&format!("{directory}/modules.builtin"), list.as_bytes())
        .file(&format!("{directory}/modules.dep"), b"");
    if arch == "arm64" {
        // A name that only Raspberry Pi's own kernel has.
        tar = tar.file("boot/dtb/broadcom/bcm2710-rpi-3-b.dtb", &noise(2500, 19));
    }
    tar.end()
}

/// A module with nothing but `.modinfo` (ELF-64: a null section, `.modinfo`, `.shstrtab`).
fn module(info: &[&str]) -> Vec<u8> {
    let info = info.join("\0") + "\0";
    let names = b"\0.modinfo\0.shstrtab\0";
    let mut file = b"\x7fELF\x02\x01".to_vec();
    file.resize(64, 0);
    file.extend(info.as_bytes());
    file.extend(names);
    let table = file.len() as u64;
    for (name, offset, len) in [(0, 0, 0), (1, 64, info.len()), (10, 64 + info.len(), names.len())] {
        let mut header = [0; 64];
        header[0] = name;
        header[0x18..0x20].copy_from_slice(&(offset as u64).to_le_bytes());
        header[0x20..0x28].copy_from_slice(&(len as u64).to_le_bytes());
        file.extend(header);
    }
    file[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    for (at, number) in [(0x3a, 64), (0x3c, 3), (0x3e, 2)] {
        file[at] = number;
    }
    file
}

/// The files of syslinux and isolinux, where Debian has them.
fn syslinux() -> Tar {
    let mut isolinux = noise(20_000, 12);
    // The mark of an isolinux that starts from a disk too (isohybrid.c).
    isolinux[64..68].copy_from_slice(&[0xfb, 0xc0, 0x78, 0x70]);
    Tar::default()
        .file("usr/lib/syslinux/ldlinux.bss", &ldlinux_bss())
        .file("usr/lib/syslinux/ldlinux.sys", &ldlinux_sys())
        .file("usr/lib/syslinux/modules/bios/ldlinux.c32", &noise(40_000, 13))
        .file("usr/lib/syslinux/mbr/mbr.bin", &noise(440, 14))
        .file("usr/lib/syslinux/mbr/gptmbr.bin", &noise(440, 15))
        .file("usr/lib/ISOLINUX/isolinux.bin", &isolinux)
        .file("usr/lib/ISOLINUX/isohdpfx.bin", &noise(432, 16))
}

fn ldlinux_bss() -> Vec<u8> {
    let mut sector = noise(512, 17);
    sector[..11].copy_from_slice(b"\xeb\x58\x90SYSLINUX");
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// Offsets of the patch area in ldlinux.sys, and of its extension.
const PATCH_AREA: usize = 0x40;
const EXTENSION: usize = 0x80;

/// A system file with the patch area of libinstaller/syslxint.h: 69,632 bytes, so that the list
/// of its sectors has more than one piece.
fn ldlinux_sys() -> Vec<u8> {
    let mut system = noise(136 * 512, 18);
    system[..10].copy_from_slice(b"\r\nSYSLINUX");
    let mut put = |at: usize, bytes: &[u8]| system[at..at + bytes.len()].copy_from_slice(bytes);
    put(PATCH_AREA, &[0; 24]);
    put(PATCH_AREA, &0x3eb2_02feu32.to_le_bytes());
    put(PATCH_AREA + 22, &(EXTENSION as u16).to_le_bytes());
    // struct ext_patch_area: the sectors of the ADV, the path of the directory with its length, a
    // subvolume with its length, the list of pieces with its capacity, and in the boot sector the
    // two halves of the number of the first sector.
    let fields: [u16; 9] = [0x100, 0x140, 64, 0x180, 64, 0x200, 32, 0x160, 0x170];
    for (index, field) in fields.iter().enumerate() {
        put(EXTENSION + 2 * index, &field.to_le_bytes());
    }
    for (at, len) in [(0x100, 16), (0x140, 64), (0x180, 64), (0x200, 320)] {
        put(at, &vec![0; len]);
    }
    system
}

/// The files of systemd-boot, where Debian has them.
fn systemd_boot(arch: &str) -> Tar {
    let (suffix, machine) = match arch {
        "amd64" => ("x64", 0x8664),
        _ => ("aa64", 0xaa64),
    };
    let directory = "usr/lib/systemd/boot/efi";
    Tar::default()
        .file(&format!("{directory}/linux{suffix}.efi.stub"), &program(machine, 0))
        .file(&format!("{directory}/systemd-boot{suffix}.efi"), &program(machine, 1))
}

/// A program for UEFI with two sections ("PE Format", PE32+).
fn program(machine: u16, seed: u64) -> Vec<u8> {
    const PE: usize = 0x40;
    const OPTIONAL: usize = PE + 24;
    const SECTIONS: usize = OPTIONAL + 240;
    let mut file = vec![0; 0x400];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &(PE as u32).to_le_bytes());
    put(PE, b"PE\0\0");
    put(PE + 4, &machine.to_le_bytes());
    put(PE + 6, &2u16.to_le_bytes());
    put(PE + 20, &240u16.to_le_bytes());
    put(OPTIONAL, &0x20bu16.to_le_bytes());
    for (offset, value) in [
        (8, 0x200u32), // size of initialized data
        (32, 0x1000),  // section alignment
        (36, 0x200),   // file alignment
        (56, 0x3000),  // size of the image
        (60, 0x400),   // size of the headers
        (68, 10),      // subsystem: an application for EFI
        (108, 16),     // data directories
    ] {
        put(OPTIONAL + offset, &value.to_le_bytes());
    }
    for (index, (name, start, raw)) in [(".text", 0x1000u32, 0x400u32), (".sbat", 0x2000, 0x600)]
        .iter()
        .enumerate()
    {
        let at = SECTIONS + 40 * index;
        put(at, name.as_bytes());
        for (offset, value) in [(8, 0x180), (12, *start), (16, 0x200), (20, *raw)] {
            put(at + offset, &u32::to_le_bytes(value));
        }
    }
    file.extend(noise(0x400, 30 + seed));
    file
}

fn rpi_firmware() -> Tar {
    let directory = "usr/lib/raspi-firmware";
    Tar::default()
        .file(&format!("{directory}/bootcode.bin"), &noise(5000, 40))
        .file(&format!("{directory}/start.elf"), &noise(30_000, 41))
        .file(&format!("{directory}/fixup.dat"), &noise(700, 42))
        .file(&format!("{directory}/overlays/README"), b"overlays\n")
}
