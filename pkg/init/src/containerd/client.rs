//! Calls of containerd's gRPC API.

use std::fs;
use std::io;

use hyper_util::rt::TokioIo;
use serde_json::Value;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};

use super::messages::{
    Any, Container, CreateContainer, CreateTask, CreatedTask, DeleteContainer, Empty, Exit, ListedContainers, Runtime,
    Task,
};
use crate::containers;
use crate::error::Error;

/// Socket of the API.
pub const SOCKET: &str = "/run/containerd/containerd.sock";
/// Type of a container's specification.
const SPEC: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

/// Connects to containerd. A connection that breaks is replaced.
///
/// # Errors
/// No program listens on the socket.
pub async fn connect() -> Result<Channel, Error> {
    // The address is not used: the connector knows the socket.
    let connector = tower::service_fn(|_: Uri| async {
        let stream = tokio::net::UnixStream::connect(SOCKET).await?;
        Ok::<_, io::Error>(TokioIo::new(stream))
    });
    let endpoint = Endpoint::from_static("http://containerd");
    let connected = endpoint.connect_with_connector(connector).await;
    connected.map_err(|error| Error::Containerd(error.to_string()))
}

/// Calls in one of containerd's namespaces.
#[derive(Clone)]
pub struct Client {
    pub channel: Channel,
    pub namespace: String,
}

impl Client {
    /// Removes the containers of the namespace that an earlier boot left on a disk. None of them runs,
    /// and their names could not be used again.
    ///
    /// # Errors
    /// containerd refuses, or does not answer.
    pub async fn forget_containers(&self) -> Result<(), Error> {
        let list = "/containerd.services.containers.v1.Containers/List";
        let left: ListedContainers = self.call(list, Empty {}).await.map_err(failed)?;
        for Container { id, .. } in left.containers {
            let delete = "/containerd.services.containers.v1.Containers/Delete";
            let container = DeleteContainer { id };
            self.call::<_, Empty>(delete, container).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Creates a container from its `config.json` alone, without image and snapshotter, and starts it.
    /// A container that exists is used, and one that runs stays as it is: containerd was restarted.
    ///
    /// # Errors
    /// containerd refuses, or does not answer.
    pub async fn start(&self, container: &containers::Container) -> Result<(), Error> {
        let id = &container.name;
        let create = CreateContainer {
            container: Some(Container {
                id: id.clone(),
                runtime: Some(Runtime {
                    name: "io.containerd.runc.v2".into(),
                }),
                spec: Some(Any {
                    type_url: SPEC.into(),
                    value: spec(&container.directory)?,
                }),
            }),
        };
        let method = "/containerd.services.containers.v1.Containers/Create";
        match self.call::<_, Empty>(method, create).await {
            Err(status) if status.code() != Code::AlreadyExists => return Err(failed(status)),
            _ => {}
        }
        let log = format!("file:///var/log/{id}.log");
        let create = CreateTask {
            container_id: id.clone(),
            stdout: log.clone(),
            stderr: log,
        };
        let created: CreatedTask = match self.call("/containerd.services.tasks.v1.Tasks/Create", create).await {
            Ok(created) => created,
            Err(status) if status.code() == Code::AlreadyExists => return Ok(()),
            Err(status) => return Err(failed(status)),
        };
        let mut started = container.runtime.attach(created.pid);
        if started.is_ok() {
            let start = "/containerd.services.tasks.v1.Tasks/Start";
            let called = self.call::<_, Empty>(start, task(id)).await;
            started = called.map(drop).map_err(failed);
        }
        if started.is_err() {
            // It would be in the way of the next try.
            let _ = self.delete(id).await;
        }
        started
    }

    /// Waits for the end of a container. Returns its exit status.
    ///
    /// # Errors
    /// containerd does not answer, or knows nothing of the container.
    pub async fn wait(&self, id: &str) -> Result<u32, Error> {
        let wait = "/containerd.services.tasks.v1.Tasks/Wait";
        let Exit { exit_status } = self.call(wait, task(id)).await.map_err(failed)?;
        self.delete(id).await.map_err(failed)?;
        Ok(exit_status)
    }

    async fn delete(&self, id: &str) -> Result<(), Status> {
        let delete = "/containerd.services.tasks.v1.Tasks/Delete";
        self.call::<_, Empty>(delete, task(id)).await.map(drop)
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
            .map_err(|_| Status::invalid_argument(format!("{:?} is not a valid namespace", self.namespace)))?;
        request.metadata_mut().insert("containerd-namespace", namespace);
        let codec = tonic_prost::ProstCodec::<Q, A>::default();
        let response = grpc.unary(request, PathAndQuery::from_static(method), codec).await?;
        Ok(response.into_inner())
    }
}

fn task(id: &str) -> Task {
    let container_id = id.to_owned();
    Task { container_id }
}

fn failed(status: Status) -> Error {
    Error::Containerd(status.message().to_owned())
}

/// Reads a `config.json`, and makes the path of its root absolute, since containerd copies it to a
/// directory of its own.
fn spec(directory: &str) -> Result<Vec<u8>, Error> {
    let path = format!("{directory}/config.json");
    let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
    let invalid = |source| Error::Json { path, source };
    let mut spec: Value = match serde_json::from_slice(&bytes) {
        Ok(spec) => spec,
        Err(error) => return Err(invalid(error)),
    };
    if let Some(root) = spec.get_mut("root").and_then(|root| root.get_mut("path"))
        && let Some(relative) = root.as_str().filter(|path| !path.starts_with('/'))
    {
        *root = Value::String(format!("{directory}/{relative}"));
    }
    serde_json::to_vec(&spec).map_err(invalid)
}
