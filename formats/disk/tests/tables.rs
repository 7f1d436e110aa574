//! Disks, checked by sgdisk and sfdisk.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use disk_layout::{Architecture, DiskLayout, Error, Partition, PartitionType, SECTOR, Table, Uuid, attribute, plan};
use extents::{Extents, emit};
use proptest::prelude::*;
use testing::program::checked;

const KINDS: [PartitionType; 4] = [
    PartitionType::Esp,
    PartitionType::BasicData,
    PartitionType::Linux,
    PartitionType::Root(Architecture::Arm64),
];

const GPT: Table = Table::Gpt {
    guid: Uuid::from_u128(77),
};
const MBR: Table = Table::Mbr { signature: 0xcafe_f00d };

fn partition(index: usize, kind: PartitionType, len: u64) -> Partition {
    let mut content = Extents::zeros(len);
    content.put_bytes(0, [index as u8 + 1; 16]);
    let mut partition = Partition::new(kind, content);
    partition.label = format!("part {index}");
    partition.guid = Uuid::from_u128(0x1234_0000 + index as u128);
    partition.bootable = index == 0;
    partition
}

fn layout(table: Table, lens: &[u64]) -> DiskLayout {
    let mut layout = DiskLayout::new(table);
    layout.boot_code = vec![0x90; 440];
    let partitions = lens.iter().zip(KINDS.iter().cycle()).enumerate();
    layout.partitions = partitions
        .map(|(index, (len, kind))| partition(index, *kind, *len))
        .collect();
    layout
}

/// Writes a disk, and gives its path to a program.
fn written<T>(disk: &Extents, check: impl FnOnce(&std::path::Path) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    emit::to_path(disk, &path).unwrap();
    check(&path)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn tables_are_correct(
        lens in prop::collection::vec(16u64..5 << 20, 1..5),
        gpt: bool,
        more in prop::option::of(0u64..9 << 20),
        grow in prop::option::of(0usize..5),
    ) {
        let mut layout = layout(if gpt { GPT } else { MBR }, &lens);
        if let Some(partition) = grow.and_then(|index| layout.partitions.get_mut(index)) {
            partition.grow = true;
        }
        let least = plan(&layout, None, SECTOR).unwrap();
        let size = more.map(|more| least.len() + more);
        let disk = plan(&layout, size, 4096).unwrap();
        let placement = layout.place(size, 4096).unwrap();
        prop_assert_eq!(disk.len(), placement.len);
        prop_assert_eq!(disk.len() % 4096, 0);
        let json = written(&disk, |path| {
            if gpt {
                let report = checked("sgdisk", &["-v"], path);
                assert!(report.contains("No problems found"), "{report}");
            }
            let report = checked("sfdisk", &["--verify"], path);
            assert!(report.contains("No errors detected"), "{report}");
            checked("sfdisk", &["--json"], path)
        });
        for (index, range) in placement.partitions.iter().enumerate() {
            prop_assert_eq!(range.start % disk_layout::ALIGNMENT, 0);
            prop_assert!(range.end - range.start >= lens[index]);
            let wanted = format!("\"start\": {}", range.start / SECTOR);
            prop_assert!(json.contains(&wanted), "{} in {}", wanted, json);
            let wanted = format!("\"size\": {}", (range.end - range.start) / SECTOR);
            prop_assert!(json.contains(&wanted), "{} in {}", wanted, json);
            prop_assert_eq!(disk.part(range.start, 16).to_vec().unwrap(), vec![index as u8 + 1; 16]);
        }
        prop_assert!(json.contains(if gpt { "LegacyBIOSBootable" } else { "\"bootable\": true" }), "{}", json);
        prop_assert!(json.contains(if gpt { "00000000-0000-0000-0000-00001234" } else { "0xcafef00d" }), "{}", json);
        let again = plan(&layout, size, 4096).unwrap();
        prop_assert_eq!(again.to_vec().unwrap(), disk.to_vec().unwrap());
    }
}

#[test]
fn hybrid_disk_has_three_partitions_in_both_tables() {
    let table = Table::Hybrid {
        guid: Uuid::from_u128(77),
        signature: 0xcafe_f00d,
    };
    for count in 1..=4 {
        let layout = layout(table, &[2 << 20; 4][..count]);
        let placement = layout.place(None, SECTOR).unwrap();
        let (listed, mbr, path) = written(&plan(&layout, None, SECTOR).unwrap(), |path| {
            let report = checked("sgdisk", &["-v"], path);
            assert!(report.contains("No problems found"), "{report}");
            let listed = checked("sgdisk", &["-p"], path);
            let mbr = checked("sfdisk", &["--label-nested", "dos", "--dump"], path);
            (listed, mbr, path.display().to_string())
        });
        assert_eq!(
            listed.lines().filter(|line| line.contains("part ")).count(),
            count,
            "{listed}"
        );
        assert!(mbr.contains("label-id: 0xcafef00d"), "{mbr}");
        for (index, range) in placement.partitions.iter().take(3).enumerate() {
            let boot = if index == 0 { ", bootable" } else { "" };
            let kind = ["ef", "c", "83"][index];
            let line = format!("{path}{}", index + 2);
            let line = mbr.lines().find(|other| other.starts_with(&line)).unwrap();
            let fields: Vec<&str> = line.split(&[',', ':'][..]).map(str::trim).collect();
            assert_eq!(
                fields[1].split_whitespace().last(),
                Some(&*(range.start / SECTOR).to_string()),
                "{line}"
            );
            assert!(line.contains(&format!("type={kind}{boot}")), "{line}");
        }
        assert!(mbr.contains("start=           1, size=        2047, type=ee"), "{mbr}");
    }
}

#[test]
fn growing_partition_takes_the_rest_of_the_disk() {
    let size = Some(64 << 20);
    let mut disk = layout(GPT, &[1 << 20, 1 << 20, 1 << 20]);
    disk.partitions[1].grow = true;
    let ranges = disk.place(size, SECTOR).unwrap().partitions;
    assert_eq!(ranges[1], 2 << 20..62 << 20);
    assert_eq!(ranges[2], 62 << 20..63 << 20);

    let mut disk = layout(GPT, &[1 << 20, 1 << 20]);
    disk.partitions[1].grow = true;
    let ranges = disk.place(size, SECTOR).unwrap().partitions;
    // 33 sectors at the end, in units of 4096 bytes.
    assert_eq!(ranges[1], 2 << 20..(64 << 20) - 5 * 4096);

    disk.partitions[0].grow = true;
    assert!(matches!(
        plan(&disk, size, SECTOR),
        Err(Error::Grow { partition: 2, .. })
    ));
    let mut disk = layout(GPT, &[1 << 20, 1 << 20]);
    disk.partitions[0].grow = true;
    disk.partitions[1].start = Some(8 << 20);
    assert!(matches!(
        plan(&disk, size, SECTOR),
        Err(Error::Grow { partition: 1, .. })
    ));
}

#[test]
fn partition_without_content_shows_the_base() {
    let mut disk = DiskLayout::new(GPT);
    disk.base = Extents::from_bytes(vec![7; 2 << 20]);
    disk.reserved = 64 * SECTOR;
    let mut partition = Partition::new(PartitionType::Guid(Uuid::from_u128(5)), Extents::new());
    partition.start = Some(64 * SECTOR);
    partition.min_size = 1 << 20;
    partition.attributes = attribute::READ_ONLY | attribute::REQUIRED;
    disk.partitions.push(partition);
    let image = plan(&disk, None, SECTOR).unwrap();
    // No table reaches into the base's second half, the disk's last MiB has the backup.
    assert_eq!(image.part(64 * SECTOR, 1 << 20).to_vec().unwrap(), vec![7; 1 << 20]);
    let json = written(&image, |path| checked("sfdisk", &["--json"], path));
    assert!(json.contains("\"firstlba\": 64"), "{json}");
    assert!(
        json.contains("\"type\": \"00000000-0000-0000-0000-000000000005\""),
        "{json}"
    );
    assert!(json.contains("RequiredPartition GUID:60"), "{json}");
}

#[test]
fn types_have_the_identifiers_that_sfdisk_knows() {
    let list = checked("sfdisk", &["--label", "gpt", "--list-types"], "".as_ref());
    let known = |kind: PartitionType| {
        let guid = kind.guid().unwrap().to_string().to_uppercase();
        let line = list.lines().find(|line| line.starts_with(&guid));
        line.map(|line| line[guid.len()..].trim().to_owned())
            .unwrap_or_default()
    };
    for (kind, name) in [
        (PartitionType::Esp, "EFI System"),
        (PartitionType::Xbootldr, "Linux extended boot"),
        (PartitionType::BiosBoot, "BIOS boot"),
        (PartitionType::BasicData, "Microsoft basic data"),
        (PartitionType::Linux, "Linux filesystem"),
        (PartitionType::Swap, "Linux swap"),
        (PartitionType::Home, "Linux home"),
        (PartitionType::Srv, "Linux server data"),
        (PartitionType::Var, "Linux variable data"),
        (PartitionType::Tmp, "Linux temporary data"),
    ] {
        assert_eq!(known(kind), name);
    }
    for (arch, name) in [
        (Architecture::X86_64, "x86-64"),
        (Architecture::Arm64, "ARM-64"),
        (Architecture::Riscv64, "RISC-V-64"),
        (Architecture::S390x, "S390X"),
    ] {
        assert_eq!(known(PartitionType::Root(arch)), format!("Linux root ({name})"));
        assert_eq!(
            known(PartitionType::RootVerity(arch)),
            format!("Linux root verity ({name})")
        );
    }
}

#[test]
fn types_are_parsed_from_what_they_are_displayed_as() {
    let other = [
        PartitionType::Byte(0x0e),
        PartitionType::Guid(Uuid::from_u128(0x1234_5678)),
    ];
    for kind in PartitionType::NAMED.into_iter().chain(other) {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert_eq!("root-x86-64".parse(), Ok(PartitionType::Root(Architecture::X86_64)));
    for text in ["", "efi", "0x", "0x100", "12", "root-m68k"] {
        assert!(text.parse::<PartitionType>().is_err(), "{text}");
    }
}

#[test]
fn impossible_layouts_are_refused() {
    let error = |layout: &DiskLayout, size| plan(layout, size, SECTOR).unwrap_err();
    let five = layout(MBR, &[512; 5]);
    assert!(matches!(
        error(&five, None),
        Error::TooManyPartitions { count: 5, max: 4 }
    ));
    let mut one = layout(MBR, &[512]);
    one.boot_code.push(0);
    assert!(matches!(error(&one, None), Error::BootCode { len: 441 }));

    let small = error(&layout(GPT, &[1 << 20; 4]), Some(4 << 20));
    assert!(
        matches!(small, Error::TooSmall { needed, len } if (needed, len) == (6 << 20, 4 << 20)),
        "{small}"
    );
    assert!(matches!(error(&layout(MBR, &[3 << 40]), None), Error::TooLarge { .. }));
    assert!(plan(&layout(GPT, &[3 << 40]), None, SECTOR).is_ok());
    assert!(matches!(error(&layout(GPT, &[u64::MAX, 512]), None), Error::Overflow));

    let changed = |change: fn(&mut Partition)| {
        let mut layout = layout(GPT, &[512, 512]);
        change(&mut layout.partitions[1]);
        error(&layout, None)
    };
    assert!(matches!(
        changed(|partition| partition.content = Extents::new()),
        Error::EmptyPartition { partition: 2 }
    ));
    assert!(matches!(
        changed(|partition| partition.label = "é".repeat(37)),
        Error::Label { partition: 2, len: 37 }
    ));
    for kind in [PartitionType::Byte(0x83), PartitionType::Guid(Uuid::nil())] {
        let mut layout = layout(GPT, &[512]);
        layout.partitions[0].kind = kind;
        assert!(matches!(error(&layout, None), Error::Type { partition: 1, .. }));
    }
    for start in [512, (1 << 20) + 1, 1 << 20] {
        let mut layout = layout(GPT, &[512, 512]);
        layout.partitions[1].start = Some(start);
        assert!(matches!(error(&layout, None), Error::Start { partition: 2, .. }));
    }
    let mut guid = layout(MBR, &[512]);
    guid.partitions[0].kind = PartitionType::Guid(Uuid::from_u128(1));
    assert!(matches!(error(&guid, None), Error::Type { table: "MBR", .. }));
}
