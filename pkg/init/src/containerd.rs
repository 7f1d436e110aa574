//! Services under containerd, by its gRPC API.
//!
//! A container is made from its `config.json` alone: no image and no snapshotter. The messages
//! are those fields of containerd's `api/services/{containers,tasks}/v1` that are needed here.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustix::process::Pid;
use serde_json::Value;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

use crate::process::{is_running, start};
use crate::{containers, runtime, say};

const PROGRAM: &str = "/usr/bin/containerd";
const CONFIG: &str = "/etc/containerd/config.toml";
const SOCKET: &str = "/run/containerd/containerd.sock";
/// LinuxKit's name for the namespace that its services are in.
const NAMESPACE: &str = "services.linuxkit";
const SPEC: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
/// How often, and how many times, to look for the socket.
const LOOK: (Duration, u32) = (Duration::from_millis(50), 2400);
/// How many lines of its log say why it has ended.
const LAST: usize = 5;

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Runtime {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "4")]
    runtime: Option<Runtime>,
    #[prost(message, optional, tag = "5")]
    spec: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CreateContainer {
    #[prost(message, optional, tag = "1")]
    container: Option<Container>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListedContainers {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<Container>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DeleteContainer {
    #[prost(string, tag = "1")]
    id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CreateTask {
    #[prost(string, tag = "1")]
    container_id: String,
    #[prost(string, tag = "5")]
    stdout: String,
    #[prost(string, tag = "6")]
    stderr: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CreatedTask {
    #[prost(uint32, tag = "2")]
    pid: u32,
}

/// What Start and Wait take.
#[derive(Clone, PartialEq, prost::Message)]
struct Task {
    #[prost(string, tag = "1")]
    container_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Exit {
    #[prost(uint32, tag = "1")]
    exit_status: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Empty {}

/// Whether the image has containerd. Without it the services are runc's.
pub fn is_there() -> bool {
    Path::new(PROGRAM).exists()
}

/// Starts containerd and, when it listens, the services in these folders. Returns containerd's
/// number.
pub fn start_services(folders: Vec<(String, runtime::Runtime)>) -> Option<Pid> {
    let log = containers::log("containerd");
    let mut command = Command::new(PROGRAM);
    command.env("PATH", containers::PATH).stdin(Stdio::null());
    if Path::new(CONFIG).exists() {
        command.args(["--config", CONFIG]);
    }
    command.stdout(log()).stderr(log());
    // One that a crash left on a disk would be taken for the new one's.
    let _ = fs::remove_file(SOCKET);
    let pid = start(command)?;
    let (started, wait) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(serve(pid, folders, started)),
            Err(error) => say(&format!("containerd: {error}")),
        }
    });
    // Ends when the other side has started everything, or is gone.
    let _ = wait.recv();
    Some(pid)
}

/// Starts the services one after the other, and tells of each that ends.
async fn serve(pid: Pid, folders: Vec<(String, runtime::Runtime)>, started: Sender<()>) {
    for _ in 0..LOOK.1 {
        if Path::new(SOCKET).exists() || !is_running(Pid::as_raw(Some(pid))) {
            break;
        }
        tokio::time::sleep(LOOK.0).await;
    }
    let channel = match connect().await {
        Ok(channel) => channel,
        Err(error) => {
            say(&format!("containerd does not answer on {SOCKET}: {error}"));
            // There may be no way to look at the file: a shell is a service, too.
            let log = fs::read_to_string("/var/log/containerd.log").unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            for line in lines.iter().skip(lines.len().saturating_sub(LAST)) {
                say(&format!("containerd: {line}"));
            }
            return;
        }
    };
    say("containerd listens");
    let mut waits = Vec::new();
    let mut clean = BTreeSet::new();
    for (folder, runtime) in folders {
        let name = containers::name_of(&folder);
        let client = Client {
            channel: channel.clone(),
            namespace: runtime.namespace().unwrap_or(NAMESPACE).to_owned(),
        };
        if clean.insert(client.namespace.clone())
            && let Err(error) = client.forget().await
        {
            say(&format!("containers of another boot: {error}"));
        }
        match client.start(&folder, &name, &runtime).await {
            Ok(()) => waits.push(tokio::spawn(async move { client.wait(&name).await })),
            Err(error) => say(&format!("service {name}: {error}")),
        }
    }
    let _ = started.send(());
    for wait in waits {
        let _ = wait.await;
    }
}

async fn connect() -> Result<Channel, tonic::transport::Error> {
    // The address is not used: the connector has the socket.
    let connector = tower::service_fn(|_: Uri| async {
        let stream = tokio::net::UnixStream::connect(SOCKET).await?;
        Ok::<_, io::Error>(TokioIo::new(stream))
    });
    Endpoint::from_static("http://containerd")
        .connect_with_connector(connector)
        .await
}

struct Client {
    channel: Channel,
    /// containerd's name for the set that the container is in.
    namespace: String,
}

impl Client {
    /// Removes the containers that a boot before has left in the namespace, on a disk: their names
    /// could not be used again. Nothing of them runs.
    async fn forget(&self) -> Result<(), String> {
        let list = "/containerd.services.containers.v1.Containers/List";
        let left: ListedContainers = self.call(list, Empty {}).await.map_err(said)?;
        for Container { id, .. } in left.containers {
            let delete = "/containerd.services.containers.v1.Containers/Delete";
            let container = DeleteContainer { id };
            self.call::<_, Empty>(delete, container).await.map_err(said)?;
        }
        Ok(())
    }

    async fn start(&self, folder: &str, id: &str, runtime: &runtime::Runtime) -> Result<(), String> {
        let container = Container {
            id: id.to_owned(),
            runtime: Some(Runtime {
                name: "io.containerd.runc.v2".into(),
            }),
            spec: Some(Any {
                type_url: SPEC.into(),
                value: spec(folder)?,
            }),
        };
        let containers = "/containerd.services.containers.v1.Containers/Create";
        let create = CreateContainer {
            container: Some(container),
        };
        self.call::<_, Empty>(containers, create).await.map_err(said)?;
        let log = format!("file:///var/log/{id}.log");
        let task = CreateTask {
            container_id: id.to_owned(),
            stdout: log.clone(),
            stderr: log,
        };
        let created: CreatedTask = self
            .call("/containerd.services.tasks.v1.Tasks/Create", task)
            .await
            .map_err(said)?;
        runtime.with_process(created.pid)?;
        let task = Task {
            container_id: id.to_owned(),
        };
        self.call::<_, Empty>("/containerd.services.tasks.v1.Tasks/Start", task)
            .await
            .map_err(said)?;
        Ok(())
    }

    async fn wait(&self, id: &str) {
        let task = Task {
            container_id: id.to_owned(),
        };
        if let Ok(Exit { exit_status }) = self.call("/containerd.services.tasks.v1.Tasks/Wait", task).await {
            say(&format!("service {id} ended: exit status {exit_status}"));
        }
    }

    async fn call<Q, A>(&self, method: &'static str, question: Q) -> Result<A, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(question);
        let namespace = tonic::metadata::MetadataValue::try_from(&self.namespace)
            .map_err(|_| Status::invalid_argument(format!("{:?} is no name of a namespace", self.namespace)))?;
        request.metadata_mut().insert("containerd-namespace", namespace);
        let codec = tonic_prost::ProstCodec::<Q, A>::default();
        let answer = grpc.unary(request, PathAndQuery::from_static(method), codec).await?;
        Ok(answer.into_inner())
    }
}

fn said(status: Status) -> String {
    status.message().to_owned()
}

/// The container's `config.json` with an absolute path to its root, since containerd keeps it
/// in a folder of its own.
fn spec(folder: &str) -> Result<Vec<u8>, String> {
    let path = format!("{folder}/config.json");
    let bytes = fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut spec: Value = serde_json::from_slice(&bytes).map_err(|error| format!("{path}: {error}"))?;
    if let Some(root) = spec.get_mut("root").and_then(|root| root.get_mut("path"))
        && let Some(relative) = root.as_str().filter(|path| !path.starts_with('/'))
    {
        *root = Value::String(format!("{folder}/{relative}"));
    }
    serde_json::to_vec(&spec).map_err(|error| error.to_string())
}
