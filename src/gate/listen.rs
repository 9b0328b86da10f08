//! Listening: every address is bound before anything is served, so that a taken port is one clear line and not a process that
//! hears nothing.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;

use pingora::apps::ServerApp;
use pingora::listeners::tls::TlsSettings;
use pingora::server::{Fds, ListenFds, ShutdownWatch};
use pingora::services::Service as _;
use pingora::services::listening::Service;

use super::tls::Certificates;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {why}")]
pub struct BindError {
    address: SocketAddr,
    why: std::io::Error,
}

/// Bound addresses of one service.
pub struct Listeners {
    bound: Vec<(SocketAddr, TcpListener)>,
}

impl Listeners {
    /// Binds every address; port 0 takes a free one.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let bound = addresses
            .iter()
            .map(|address| {
                let failed = |why| BindError { address: *address, why };
                let listener = TcpListener::bind(address).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                Ok((listener.local_addr().map_err(failed)?, listener))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { bound })
    }

    /// The addresses as they are bound.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|(address, _)| *address).collect()
    }

    /// Serves `app` on these addresses, behind TLS where there are certificates, until `shutdown` turns true.
    pub async fn serve<A: ServerApp + Send + Sync + 'static>(
        self,
        name: &str,
        app: A,
        certificates: Option<Arc<Certificates>>,
        shutdown: ShutdownWatch,
    ) {
        let mut service = Service::new(name.to_owned(), app);
        let mut fds = Fds::new();
        for (address, listener) in self.bound {
            let address = address.to_string();
            match &certificates {
                None => service.add_tcp(&address),
                Some(certificates) => match TlsSettings::intermediate("", "") {
                    Ok(mut tls) => {
                        tls.set_cert_resolver(certificates.clone());
                        tls.enable_h2();
                        service.add_tls_with_settings(&address, None, tls);
                    }
                    Err(error) => {
                        tracing::error!(%error, address, "cannot serve TLS");
                        continue;
                    }
                },
            }
            fds.add(address, listener.into_raw_fd());
        }
        let fds: ListenFds = Arc::new(parking_lot::Mutex::new(fds));
        service.start_service(Some(fds), shutdown, 1).await;
    }
}
