//! Debian's docker-registry on loopback.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Result, cannot};

/// Maximum time until the registry listens.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A registry, which ends with this value.
pub struct Registry {
    child: Child,
    /// Host and port.
    pub host: String,
}

impl Registry {
    /// Starts a registry that keeps its images in a directory. It speaks TLS if there are `tls.crt` and `tls.key`
    /// in the directory.
    pub fn start(directory: &Path) -> Result<Registry> {
        let address = free_address().map_err(cannot("find a free port"))?;
        let path = |name: &str| directory.join(name).display().to_string();
        let tls = if directory.join("tls.key").exists() {
            format!(", tls: {{certificate: {}, key: {}}}", path("tls.crt"), path("tls.key"))
        } else {
            String::new()
        };
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"{tls}}}\n",
            path("data")
        );
        let file = directory.join("registry.yml");
        fs::write(&file, config).map_err(cannot(format!("write {}", file.display())))?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| cannot("run docker-registry")(error).help("install the package docker-registry"))?;
        let registry = Registry {
            child,
            host: address.to_string(),
        };
        let end = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end {
                return Err(Error::new("docker-registry does not listen"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
