//! Shell scripts that write what moby's formats hold, with the programs of LinuxKit's tool images.

/// Shell functions of several recipes: `uki` writes a unified kernel image `boot.efi`, `esp` a FAT image with it.
pub const COMMON: &str = r#"
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

/// Formats, programs, and the script that runs them. In the script `$K`, `$I` and `$C` are the files of
/// kernel, initrd and command line, `$R` the raw disk for BIOS boot, `$D` the one for BIOS and UEFI
/// boot, and `$T` the directory of the root filesystem.
pub const RECIPES: &[(&str, &str, &str)] = &[
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
