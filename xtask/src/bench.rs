//! `cargo xtask bench`: what a format costs in `moby build`, against the programs that LinuxKit's
//! images of tools run for it, and against copying its bytes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often each is done; the median counts.
const ROUNDS: usize = 5;

/// What several recipes begin with: a unified kernel image `boot.efi`, and a FAT image with it.
const COMMON: &str = r#"
uki() {
    objcopy --add-section .cmdline=$C --change-section-vma .cmdline=0x30000 --add-section .linux=$K --change-section-vma .linux=0x2000000 --add-section .initrd=$I --change-section-vma .initrd=0x6000000 /usr/lib/systemd/boot/efi/linuxx64.efi.stub boot.efi
}
esp() {
    image=$1; shift
    mkfs.vfat "$@" -C $image $(( $(stat -c %s boot.efi) / 1024 + 2048 )) >/dev/null
    mmd -i $image ::/EFI ::/EFI/BOOT
    mcopy -i $image boot.efi ::/EFI/BOOT/BOOTX64.EFI
}
"#;

/// A format, and the recipe of C programs for the same. In the recipe `$K`, `$I` and `$C` are the
/// files of kernel, initrd and command line, `$R` the raw disk for a BIOS, `$D` the one for both
/// firmwares, `$T` the folder of the root filesystem.
const RECIPES: &[(&str, &str, &str)] = &[
    (
        "raw-bios",
        "mkfs.vfat, mcopy, syslinux, sfdisk",
        r#"size=$(( ($(stat -c %s $K) + $(stat -c %s $I)) / 1024 + 4096 ))
        mkfs.vfat -C fat.img $size >/dev/null
        printf 'DEFAULT linux\nLABEL linux\n KERNEL /kernel\n INITRD /initrd.img\n' > syslinux.cfg
        mcopy -i fat.img syslinux.cfg $K $I ::/
        syslinux --install fat.img
        truncate -s $((size + 2048))K disk.img
        echo '2048,,c,*' | sfdisk -q disk.img
        dd if=/usr/lib/syslinux/mbr/mbr.bin of=disk.img conv=notrunc status=none
        dd if=fat.img of=disk.img bs=1M seek=1 conv=notrunc,fsync status=none"#,
    ),
    (
        "raw-efi",
        "objcopy, mkfs.vfat, mcopy, sgdisk",
        r#"uki
        esp fat.img -F 32 -s 1
        size=$(( $(stat -c %s fat.img) / 1024 ))
        truncate -s $((size + 4096))K disk.img
        sgdisk -n 1:2048:0 -t 1:ef00 disk.img >/dev/null
        dd if=fat.img of=disk.img bs=1M seek=1 conv=notrunc,fsync status=none"#,
    ),
    (
        "iso-bios",
        "genisoimage, isohybrid",
        r#"mkdir -p isolinux
        cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 isolinux
        printf 'DEFAULT linux\nLABEL linux\n KERNEL /kernel\n' > isolinux/isolinux.cfg
        genisoimage -quiet -o cd.iso -J -R -c isolinux/boot.cat -b isolinux/isolinux.bin -no-emul-boot -boot-load-size 4 -boot-info-table -graft-points isolinux/=isolinux kernel=$K $T
        isohybrid cd.iso
        sync cd.iso"#,
    ),
    (
        "uki",
        "objcopy",
        r#"uki
        sync boot.efi"#,
    ),
    (
        "iso-efi-initrd",
        "objcopy, mkfs.vfat, mcopy, genisoimage",
        r#"uki; mkdir cd; esp cd/efi.img
        genisoimage -quiet -o cd.iso -J -R -e efi.img -no-emul-boot cd
        sync cd.iso"#,
    ),
    (
        "iso",
        "objcopy, mkfs.vfat, mcopy, genisoimage, isohybrid",
        r#"uki; mkdir cd; esp cd/efi.img
        cp $K cd/kernel; cp $I cd/initrd.img; mkdir cd/isolinux
        cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 cd/isolinux
        printf 'DEFAULT linux\nLABEL linux\n KERNEL /kernel\n INITRD /initrd.img\n' > cd/isolinux/isolinux.cfg
        genisoimage -quiet -o cd.iso -J -R -c isolinux/boot.cat -b isolinux/isolinux.bin -no-emul-boot -boot-load-size 4 -boot-info-table -eltorito-alt-boot -e efi.img -no-emul-boot cd
        isohybrid --uefi cd.iso
        sync cd.iso"#,
    ),
    (
        "kernel+iso",
        "genisoimage",
        "genisoimage -quiet -o root.iso -R $T; sync root.iso",
    ),
    (
        "raw",
        "mkfs.vfat, mcopy, syslinux, sgdisk",
        r#"size=$(( ($(stat -c %s $K) + $(stat -c %s $I)) / 1024 + 6144 ))
        mkfs.vfat -F 32 -s 1 -C fat.img $size >/dev/null
        printf 'DEFAULT linux\nLABEL linux\n KERNEL /kernel\n INITRD /initrd.img\n' > syslinux.cfg
        mcopy -i fat.img syslinux.cfg $K $I ::/
        mmd -i fat.img ::/EFI ::/EFI/BOOT
        mcopy -i fat.img /usr/lib/systemd/boot/efi/systemd-bootx64.efi ::/EFI/BOOT/BOOTX64.EFI
        syslinux --install fat.img
        truncate -s $((size + 4096))K disk.img
        sgdisk -n 1:2048:0 -t 1:ef00 -A 1:set:2 disk.img >/dev/null
        dd if=/usr/lib/syslinux/mbr/gptmbr.bin of=disk.img conv=notrunc status=none
        dd if=fat.img of=disk.img bs=1M seek=1 conv=notrunc,fsync status=none"#,
    ),
    (
        "raw-ext4",
        "mke2fs -d, sfdisk; no boot loader, which takes root",
        r#"truncate -s 300M root.ext4
        mke2fs -q -t ext4 -O ^has_journal -d $T root.ext4
        debugfs -w -R "write $K kernel" root.ext4 2>/dev/null
        truncate -s 301M disk.img
        echo '2048,,L,*' | sfdisk -q disk.img
        dd if=root.ext4 of=disk.img bs=1M seek=1 conv=notrunc,fsync,sparse status=none"#,
    ),
    (
        "iso-efi",
        "objcopy, mkfs.vfat, mcopy, genisoimage",
        r#"objcopy --add-section .linux=$K --change-section-vma .linux=0x2000000 /usr/lib/systemd/boot/efi/linuxx64.efi.stub boot.efi
        esp efi.img
        genisoimage -quiet -o cd.iso -J -R -e efi.img -no-emul-boot -graft-points efi.img=efi.img $T
        sync cd.iso"#,
    ),
    ("tar", "tar", "tar -C $T -cf root.tar .; sync root.tar"),
    (
        "tar-kernel-initrd",
        "tar",
        "tar --transform='s|.*/||' -Pcf kernel.tar $K $I $C; sync kernel.tar",
    ),
    (
        "oci",
        "tar, sha256sum, pigz -p 2",
        "tar -C $T -cf layer.tar .; sha256sum layer.tar; pigz -p 2 layer.tar; sha256sum layer.tar.gz; tar -cf image.tar layer.tar.gz; sync image.tar",
    ),
    (
        "docker-archive",
        "tar, sha256sum",
        "tar -C $T -cf layer.tar .; sha256sum layer.tar; tar -cf image.tar layer.tar; sync image.tar",
    ),
    (
        "kernel+squashfs",
        "mksquashfs -comp lz4 -processors 2",
        "mksquashfs $T root.squashfs -comp lz4 -processors 2 -quiet -no-progress; sync root.squashfs",
    ),
    (
        "kernel+erofs",
        "mkfs.erofs -zlz4",
        "mkfs.erofs --quiet -zlz4 root.erofs $T; sync root.erofs",
    ),
    (
        "kernel+ext4",
        "mke2fs -d",
        "truncate -s 1G root.ext4; mke2fs -q -t ext4 -O ^has_journal -d $T root.ext4; sync root.ext4",
    ),
    (
        "qcow2-bios",
        "qemu-img convert",
        "qemu-img convert -f raw -O qcow2 $R disk.qcow2; sync disk.qcow2",
    ),
    (
        "vmdk",
        "qemu-img convert",
        "qemu-img convert -f raw -O vmdk $R disk.vmdk; sync disk.vmdk",
    ),
    (
        "dynamic-vhd",
        "qemu-img convert",
        "qemu-img convert -f raw -O vpc $R disk.vhd; sync disk.vhd",
    ),
    (
        "vhdx",
        "qemu-img convert",
        "qemu-img convert -f raw -O vhdx $D disk.vhdx; sync disk.vhdx",
    ),
    (
        "openstack",
        "qemu-img convert -c",
        "qemu-img convert -c -f raw -O qcow2 $D disk.qcow2; sync disk.qcow2",
    ),
    (
        "stream-vmdk",
        "qemu-img convert",
        "qemu-img convert -f raw -O vmdk -o subformat=streamOptimized $D disk.vmdk; sync disk.vmdk",
    ),
    (
        "vhd",
        "qemu-img convert",
        "qemu-img convert -f raw -O vpc -o subformat=fixed $R disk.vhd; sync disk.vhd",
    ),
    (
        "azure",
        "qemu-img convert",
        "qemu-img convert -f raw -O vpc -o subformat=fixed,force_size $D disk.vhd; sync disk.vhd",
    ),
    (
        "aws",
        "cp",
        "cp --reflink=never --sparse=auto $D disk.raw; sync disk.raw",
    ),
    (
        "qcow2",
        "qemu-img convert",
        "qemu-img convert -f raw -O qcow2 $D disk.qcow2; sync disk.qcow2",
    ),
    (
        "ova",
        "qemu-img convert, sha256sum, tar",
        "qemu-img convert -f raw -O vmdk -o subformat=streamOptimized $D disk.vmdk; sha256sum disk.vmdk; tar -cf machine.ova disk.vmdk; sync machine.ova",
    ),
    ("hetzner", "xz -T 2", "xz -T 2 -c $D > disk.xz; sync disk.xz"),
    (
        "gcp",
        "tar -S, pigz -p 2",
        r#"cp --sparse=always $D disk.raw; truncate -s 1G disk.raw
        tar --format=oldgnu -Scf - disk.raw | pigz -p 2 > disk.tar.gz; rm disk.raw; sync disk.tar.gz"#,
    ),
    ("digitalocean", "pigz -p 2", "pigz -p 2 -c $D > disk.gz; sync disk.gz"),
    (
        "vdi",
        "qemu-img convert",
        "qemu-img convert -f raw -O vdi $D disk.vdi; sync disk.vdi",
    ),
];

fn time(mut command: Command) -> Result<Duration, String> {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(start.elapsed()),
        Ok(status) => Err(format!("{command:?} ended with {status}")),
        Err(error) => Err(format!("cannot run {command:?}: {error}")),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn repeat(mut once: impl FnMut() -> Result<Duration, String>) -> Result<Duration, String> {
    // The first warms the caches.
    once()?;
    (0..ROUNDS).map(|_| once()).collect::<Result<Vec<_>, _>>().map(median)
}

/// What the largest file in a folder takes, in bytes, but for kernel and initrd.
fn largest(folder: &Path) -> Result<u64, String> {
    let files = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let lens = files.flatten().map(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        match name.ends_with("-kernel") || name.ends_with("-initrd.img") {
            true => 0,
            false => file.metadata().map_or(0, |found| found.len()),
        }
    });
    Ok(lens.max().unwrap_or(0))
}

/// Prints a table in Markdown.
pub fn formats() -> Result<(), String> {
    crate::run("cargo", &["build", "--release", "--package", "moby"])?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let work = root.join("target/bench");
    let cache = root.join("target/test-cache");
    let fresh = |path: &Path| {
        let _ = std::fs::remove_dir_all(path);
        std::fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    fresh(&work)?;
    let build = |formats: &str, dir: &Path| {
        fresh(dir)?;
        let mut command = Command::new(root.join("target/release/moby"));
        command
            .args(["-q", "build", "--compress", "lz4", "--cache"])
            .arg(&cache);
        command
            .args(["-f", formats, "--dir"])
            .arg(dir)
            .arg(root.join("examples/hello.yml"));
        time(command)
    };
    let (payload, out, recipe) = (work.join("payload"), work.join("out"), work.join("recipe"));
    // What all formats need is taken off.
    build("kernel+initrd,raw-bios,raw,tar", &payload)?;
    let base = repeat(|| build("kernel+initrd", &out))?;
    let file = |suffix: &str| payload.join(format!("hello{suffix}"));
    let tree = work.join("tree");
    fresh(&tree)?;
    // Its few devices are left out, for who is not root.
    let mut unpack = Command::new("tar");
    unpack.args(["--warning=no-unknown-keyword", "--exclude=dev/*", "-xf"]);
    time({
        unpack.arg(file(".tar")).arg("-C").arg(&tree);
        unpack
    })?;
    let files: [(&str, PathBuf); 6] = [
        ("T", tree),
        ("K", file("-kernel")),
        ("I", file("-initrd.img")),
        ("C", file("-cmdline")),
        ("R", file("-bios.img")),
        ("D", file(".img")),
    ];
    let shell = |script: &str| {
        fresh(&recipe)?;
        let mut command = Command::new("bash");
        command
            .args(["-euc", &format!("{COMMON}{script}")])
            .current_dir(&recipe);
        let folders = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        command.env("PATH", folders).env("MTOOLS_SKIP_CHECK", "1");
        for (name, path) in &files {
            let path = path
                .canonicalize()
                .map_err(|error| format!("{}: {error}", path.display()))?;
            command.env(name, path);
        }
        time(command)
    };
    let copy = repeat(|| {
        shell(
            "cp --reflink=never --sparse=never $K kernel; cp --reflink=never --sparse=never $I initrd; sync kernel initrd",
        )
    })?;
    let ms = |time: Duration| format!("{} ms", time.as_millis());
    println!(
        "`moby build -f kernel+initrd` of examples/hello.yml (lz4): {}; `cp` and `sync` of kernel and initrd: {}\n",
        ms(base),
        ms(copy)
    );
    println!(
        "| format | moby, beyond kernel+initrd | programs | which | moby | programs |\n| --- | --- | --- | --- | --- | --- |"
    );
    for (format, programs, script) in RECIPES {
        // They take turns, since a disk is not as fast in every minute.
        let mut theirs = Vec::new();
        let ours = repeat(|| {
            theirs.push(shell(script)?);
            let base = build("kernel+initrd", &out)?;
            Ok(build(&format!("kernel+initrd,{format}"), &out)?.saturating_sub(base))
        })?;
        let theirs = median(theirs.split_off(1));
        // Of what both leave behind the last is what was asked for, and the largest.
        let sizes = [largest(&out)?, largest(&recipe)?].map(|bytes| format!("{:.1} MB", bytes as f64 / 1e6));
        println!(
            "| `{format}` | {} | {} | {programs} | {} | {} |",
            ms(ours),
            ms(theirs),
            sizes[0],
            sizes[1]
        );
    }
    Ok(())
}
