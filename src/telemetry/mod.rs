//! telemetry
use std::{sync::Arc, time::Duration};

/// Stub.
#[derive(Debug, Default, Clone)]
pub(crate) struct RequestSample {
    pub(crate) route: Option<Arc<str>>,
    pub(crate) method: Option<&'static str>,
    pub(crate) class: Option<&'static str>,
    pub(crate) outcome: &'static str,
    pub(crate) refusal: Option<(&'static str, &'static str)>,
    pub(crate) stages: Vec<(&'static str, Duration)>,
    pub(crate) total: Duration,
}
/// Stub.
#[derive(Debug)]
pub(crate) struct Metrics;
impl Metrics {
    pub(crate) fn new() -> Self { Self }
    pub(crate) fn request(&self, _sample: &RequestSample) {}
    pub(crate) fn reloaded(&self, _ok: bool) {}
}

/// Stub.
#[derive(Debug, thiserror::Error)]
#[error("admin")]
pub(crate) struct AdminError(#[from] std::io::Error);
/// Stub.
pub(crate) struct Admin(pub(crate) Option<std::net::TcpListener>);
#[async_trait::async_trait]
impl pingora_core::services::Service for Admin {
    async fn start_service(&mut self, _: Option<pingora_core::server::ListenFds>, _: pingora_core::server::ShutdownWatch, _: usize) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = self.0.take().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut room = [0; 1024];
            let _ = stream.read(&mut room).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n").await;
        }
    }
    fn name(&self) -> &str { "admin" }
}
