//! Disks, judged by sgdisk and sfdisk.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use disk::{Error, Partition, Scheme, Type, plan};
use extents::{Extents, emit};
use proptest::prelude::*;
use testing::program::checked;

fn partition(index: usize, kind: Type, len: u64) -> Partition {
    let mut content = Extents::zeros(len);
    content.put_bytes(0, [index as u8 + 1; 16]);
    Partition {
        kind,
        name: format!("part {index}"),
        guid: 0x1234_0000 + index as u128,
        bootable: index == 0,
        content,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn tables_are_correct(lens in prop::collection::vec(16u64..5 << 20, 1..5), gpt: bool, more in prop::option::of(0u64..9 << 20)) {
        let kinds = [Type::Efi, Type::Fat, Type::Linux, Type::Linux];
        let partitions: Vec<Partition> = lens.iter().enumerate().map(|(i, len)| partition(i, kinds[i], *len)).collect();
        let scheme = if gpt { Scheme::Gpt { guid: 77 } } else { Scheme::Mbr { signature: 0xcafe_f00d } };
        let least = plan(scheme, &partitions, &[0x90; 440], None).unwrap();
        let size = more.map(|more| least.extents.len() + more);
        let made = plan(scheme, &partitions, &[0x90; 440], size).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        emit::to_path(&made.extents, &path).unwrap();
        if gpt {
            let said = checked("sgdisk", &["-v"], &path);
            prop_assert!(said.contains("No problems found"), "{}", said);
        }
        let said = checked("sfdisk", &["--verify"], &path);
        prop_assert!(said.contains("No errors detected"), "{}", said);
        let json = checked("sfdisk", &["--json"], &path);
        for (index, start) in made.starts.iter().enumerate() {
            prop_assert_eq!(start % disk::ALIGNMENT, 0);
            let wanted = format!("\"start\": {}", start / 512);
            prop_assert!(json.contains(&wanted), "{} in {}", wanted, json);
            prop_assert_eq!(made.extents.part(*start, 16).to_vec().unwrap(), vec![index as u8 + 1; 16]);
        }
        prop_assert!(json.contains(if gpt { "LegacyBIOSBootable" } else { "\"bootable\": true" }), "{}", json);
        prop_assert!(json.contains(if gpt { "00000000-0000-0000-0000-00001234" } else { "0xcafef00d" }), "{}", json);
        let again = plan(scheme, &partitions, &[0x90; 440], size).unwrap();
        prop_assert_eq!(again.extents.to_vec().unwrap(), made.extents.to_vec().unwrap());
    }
}

#[test]
fn a_hybrid_has_three_partitions_in_both_tables() {
    let kinds = [Type::Efi, Type::Fat, Type::Linux, Type::Linux];
    let partitions: Vec<Partition> = (0..4).map(|i| partition(i, kinds[i], 2 << 20)).collect();
    let scheme = Scheme::Hybrid {
        guid: 77,
        signature: 0xcafe_f00d,
    };
    for count in 1..=4 {
        let made = plan(scheme, &partitions[..count], &[0x90; 440], None).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        emit::to_path(&made.extents, &path).unwrap();
        let said = checked("sgdisk", &["-v"], &path);
        assert!(said.contains("No problems found"), "{said}");
        let said = checked("sgdisk", &["-p"], &path);
        let listed = said.lines().filter(|line| line.contains("part ")).count();
        assert_eq!(listed, count, "{said}");
        // The same disk, read by its master boot record alone.
        let said = checked("sfdisk", &["--label-nested", "dos", "--dump"], &path);
        assert!(said.contains("label-id: 0xcafef00d"), "{said}");
        for (index, start) in made.starts.iter().take(3).enumerate() {
            let boot = if index == 0 { ", bootable" } else { "" };
            let kind = ["ef", "c", "83"][index];
            let line = format!("{}{}", path.display(), index + 2);
            let line = said.lines().find(|other| other.starts_with(&line)).unwrap();
            let fields: Vec<&str> = line.split(&[',', ':'][..]).map(str::trim).collect();
            assert_eq!(
                fields[1].split_whitespace().last(),
                Some(&*(start / 512).to_string()),
                "{line}"
            );
            assert!(line.contains(&format!("type={kind}{boot}")), "{line}");
        }
        assert!(
            said.contains("start=           1, size=        2047, type=ee"),
            "{said}"
        );
    }
}

#[test]
fn what_a_disk_cannot_hold() {
    let five: Vec<Partition> = (0..5).map(|i| partition(i, Type::Linux, 512)).collect();
    let mbr = Scheme::Mbr { signature: 1 };
    assert!(matches!(
        plan(mbr, &five, &[], None),
        Err(Error::Partitions { count: 5, most: 4 })
    ));
    assert!(matches!(
        plan(mbr, &five[..1], &[0; 441], None),
        Err(Error::BootCode { .. })
    ));
    let small = plan(Scheme::Gpt { guid: 1 }, &five, &[], Some(4 << 20)).unwrap_err();
    assert!(small.to_string().contains("bytes are missing"));
    let huge = partition(0, Type::Linux, 3 << 40);
    assert!(matches!(
        plan(mbr, std::slice::from_ref(&huge), &[], None),
        Err(Error::TooLarge { .. })
    ));
    assert!(plan(Scheme::Gpt { guid: 1 }, &[huge], &[], None).is_ok());
}
