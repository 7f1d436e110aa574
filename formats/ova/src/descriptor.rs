//! The descriptor (DSP0243, 6 to 9). Resources and their fields are those of CIM; the subtypes of
//! adapters are VMware's names.

use crate::{Firmware, Options};

/// `ResourceType` of `CIM_ResourceAllocationSettingData`.
#[derive(Clone, Copy)]
enum Resource {
    Processor = 3,
    Memory = 4,
    ScsiController = 6,
    Network = 10,
    Disk = 17,
}

/// Writes an `Item` whose fields are in the order of their names, as the schema demands.
fn item(id: u32, resource: Resource, name: &str, fields: &[(&str, &str)]) -> String {
    let id = id.to_string();
    let resource = (resource as u32).to_string();
    let mut all = vec![("ElementName", name), ("InstanceID", &id), ("ResourceType", &resource)];
    all.extend_from_slice(fields);
    all.sort_unstable();
    let fields = all
        .iter()
        .map(|(field, value)| format!("        <rasd:{field}>{value}</rasd:{field}>\n"));
    format!("      <Item>\n{}      </Item>\n", fields.collect::<String>())
}

/// Writes the descriptor of a machine whose disk image is the file `disk` of `disk_len` bytes. Names
/// have no characters that XML would escape.
pub(crate) fn xml(options: &Options, disk: &str, disk_len: u64) -> String {
    let Options {
        name,
        capacity,
        cpus,
        memory_mib,
        ..
    } = options;
    let firmware = match options.firmware {
        Firmware::Bios => "bios",
        Firmware::Efi => "efi",
    };
    let (cpus, memory) = (cpus.to_string(), memory_mib.to_string());
    let items = [
        item(
            1,
            Resource::Processor,
            "processors",
            &[("AllocationUnits", "hertz * 10^6"), ("VirtualQuantity", &cpus)],
        ),
        item(
            2,
            Resource::Memory,
            "memory",
            &[("AllocationUnits", "byte * 2^20"), ("VirtualQuantity", &memory)],
        ),
        // Both VMware and VirtualBox know it by this name; old VirtualBox does not know VMware's SATA.
        item(
            3,
            Resource::ScsiController,
            "SCSI controller 0",
            &[("Address", "0"), ("ResourceSubType", "lsilogic")],
        ),
        item(
            4,
            Resource::Disk,
            "disk 1",
            &[
                ("AddressOnParent", "0"),
                ("HostResource", "ovf:/disk/disk1"),
                ("Parent", "3"),
            ],
        ),
        // VMware's adapter, for which kernels for virtual machines have a driver.
        item(
            5,
            Resource::Network,
            "network adapter 1",
            &[
                ("AddressOnParent", "7"),
                ("AutomaticAllocation", "true"),
                ("Connection", "VM Network"),
                ("ResourceSubType", "VmxNet3"),
            ],
        ),
    ]
    .concat();
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
          xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
          xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
          xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
          xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
    <File ovf:href="{disk}" ovf:id="file1" ovf:size="{disk_len}"/>
  </References>
  <DiskSection>
    <Info>Disks</Info>
    <Disk ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte" ovf:diskId="disk1" ovf:fileRef="file1" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>Networks</Info>
    <Network ovf:name="VM Network">
      <Description>The network of the machine</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{name}">
    <Info>A virtual machine</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="101" vmw:osType="other3xLinux64Guest">
      <Info>The operating system</Info>
      <Description>Linux, 64 bit</Description>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-10</vssd:VirtualSystemType>
      </System>
{items}      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="{firmware}"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"#
    )
}
