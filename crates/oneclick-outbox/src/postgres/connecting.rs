//! How to connect to a server: the connection string, and TLS by rustls with ring.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use percent_encoding::percent_decode_str;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::error::OutboxError;

/// How long connecting to an address, or the response to one statement, may take. The server ends
/// a statement of a transaction earlier, also one that waits for a lock.
pub(super) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Where a server is, and how to connect to it.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    tls: Tls,
}

impl Server {
    /// Reads a connection string. Beyond what tokio-postgres knows, it takes libpq's `sslmode`
    /// `verify-ca` and `verify-full`, and its `sslrootcert`.
    pub(super) fn parse(text: &str) -> Result<Self, OutboxError> {
        let (text, asked) = Asked::take_from(text)?;
        let mut config: Config = text.parse()?;
        let (mode, trust) = asked.decide()?;
        config
            .application_name("oneclick-outbox")
            .connect_timeout(CONNECTION_TIMEOUT)
            // A standby can neither grant a permit nor tell that it lacks one.
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        // A server has no TLS on a socket file.
        let is_file = |host: &Host| !matches!(host, Host::Tcp(_));
        let is_local = !config.get_hosts().is_empty() && config.get_hosts().iter().all(is_file);
        config.ssl_mode(if is_local { SslMode::Disable } else { mode });
        let tls = Tls::new(&trust).map_err(|error| OutboxError::Tls(error.to_string()))?;
        Ok(Self { config, tls })
    }

    /// Connects. The connection is driven on the runtime of the caller.
    pub(super) async fn connect(&self) -> Result<Client, OutboxError> {
        // The timeout in the configuration is for the socket alone: the server may accept and then
        // be silent.
        let connecting = self.config.connect(self.tls.clone());
        let connected = tokio::time::timeout(CONNECTION_TIMEOUT, connecting).await;
        let (client, connection) = connected.map_err(|_| OutboxError::Closed)??;
        // Its error ends each statement that waits for it.
        tokio::spawn(async { drop(connection.await) });
        Ok(client)
    }
}

/// The TLS settings of a connection string.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    mode: Option<String>,
    root: Option<String>,
}

/// Which certificates of a server are accepted.
#[derive(Debug, PartialEq, Eq)]
enum Trust {
    /// Any: the connection is encrypted, but the server may be another one.
    Any,
    /// Those that lead to a root in this file, for any host.
    File(String),
    /// The same, for the host that was asked for.
    FileAndHost(String),
    /// Those that the operating system trusts, for the host that was asked for.
    System,
}

impl Asked {
    /// Takes the settings of TLS out of a connection string, which is a URL or a list of words.
    fn take_from(text: &str) -> Result<(String, Self), OutboxError> {
        let mut asked = Self::default();
        let is_url = ["postgres://", "postgresql://"].iter().any(|start| text.starts_with(start));
        if !is_url {
            let words = words(text);
            let rest = words.into_iter().filter(|word| {
                let (name, value) = word.split_once('=').unwrap_or((word, ""));
                !asked.set(name.trim(), || unquoted(value.trim()))
            });
            let rest = rest.collect::<Vec<_>>().join(" ");
            return Ok((rest, asked));
        }
        // A password may have a question mark.
        let host = text.find('@').unwrap_or_default();
        let Some(start) = text[host..].find('?').map(|at| host + at) else {
            return Ok((text.to_owned(), asked));
        };
        let mut rest = Vec::new();
        for pair in text[start + 1..].split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| OutboxError::Tls(format!("the value of {name} is not valid UTF-8")))?;
            if !asked.set(name, || value.into_owned()) {
                rest.push(pair);
            }
        }
        let end = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
        Ok((format!("{}{end}", &text[..start]), asked))
    }

    /// Whether this is a setting of TLS.
    fn set(&mut self, name: &str, value: impl FnOnce() -> String) -> bool {
        let setting = match name {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.root,
            _ => return false,
        };
        *setting = Some(value());
        true
    }

    /// As libpq decides, except that a root certificate without `sslmode` means `verify-full`.
    fn decide(self) -> Result<(SslMode, Trust), OutboxError> {
        let Self { mode, root } = self;
        let root = root.filter(|root| !root.is_empty());
        Ok(match (mode.as_deref(), root) {
            (Some("disable"), _) => (SslMode::Disable, Trust::Any),
            (None | Some("verify-full"), Some(root)) if root == "system" => {
                (SslMode::Require, Trust::System)
            }
            (Some("verify-full"), None) => (SslMode::Require, Trust::System),
            (Some("require" | "verify-ca" | "prefer"), Some(root)) if root == "system" => {
                let problem = "sslrootcert=system needs sslmode=verify-full, since anybody can \
                               get a certificate for a host of their own";
                return Err(OutboxError::Tls(problem.to_owned()));
            }
            (None | Some("verify-full"), Some(root)) => {
                (SslMode::Require, Trust::FileAndHost(root))
            }
            (Some("require" | "verify-ca" | "prefer"), Some(root)) => {
                (SslMode::Require, Trust::File(root))
            }
            (None | Some("prefer"), None) => (SslMode::Prefer, Trust::Any),
            (Some("require"), None) => (SslMode::Require, Trust::Any),
            (Some("verify-ca"), None) => {
                let problem = "sslmode=verify-ca needs sslrootcert=FILE, the certificate of the \
                               authority that signed the server's";
                return Err(OutboxError::Tls(problem.to_owned()));
            }
            (Some(_), _) => {
                let problem = "sslmode must be disable, prefer, require, verify-ca or verify-full";
                return Err(OutboxError::Tls(problem.to_owned()));
            }
        })
    }
}

/// The words of a list such as `host=localhost password='two words'`, as libpq separates them.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut start) = (Vec::new(), None);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, char) in text.char_indices() {
        if start.is_none() && !char.is_whitespace() {
            start = Some(at);
        }
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '\'' => is_quoted = !is_quoted,
            _ if char.is_whitespace() && !is_quoted => {
                words.extend(start.take().map(|start| &text[start..at]));
            }
            _ => {}
        }
    }
    words.extend(start.map(|start| &text[start..]));
    words
}

/// The value of a word, without its quotes and backslashes.
fn unquoted(value: &str) -> String {
    let (mut plain, mut is_escaped) = (String::new(), false);
    for char in value.chars() {
        match char {
            '\\' | '\'' if !is_escaped => is_escaped = char == '\\',
            _ => {
                plain.push(char);
                is_escaped = false;
            }
        }
    }
    plain
}

/// Makes TLS connections.
#[derive(Clone)]
struct Tls(TlsConnector);

impl Tls {
    fn new(trust: &Trust) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?;
        let lenient = |roots| {
            let verifier = Lenient { roots, provider: provider.clone() };
            builder.clone().dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        };
        let builder = match trust {
            Trust::Any => lenient(None),
            Trust::File(path) => {
                let roots = Arc::new(roots(path)?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
                lenient(Some(verifier.build()?))
            }
            Trust::FileAndHost(path) => builder.with_root_certificates(roots(path)?),
            Trust::System => builder.with_platform_verifier()?,
        };
        let config = builder.with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

/// The certificates of a PEM file.
fn roots(path: &str) -> Result<RootCertStore, Box<dyn Error + Send + Sync>> {
    let failed = |error: &dyn fmt::Display| format!("could not read sslrootcert {path}: {error}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
        roots.add(certificate.map_err(|error| failed(&error))?)?;
    }
    if roots.is_empty() {
        return Err(failed(&"it has no certificate").into());
    }
    Ok(roots)
}

/// Accepts certificates for any host: all of them, or those that lead to a root.
#[derive(Debug)]
struct Lenient {
    roots: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        match roots.verify_server_cert(end_entity, intermediates, server, ocsp, now) {
            // The name is compared after everything else.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Stream<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Handshake> {
        Ok(Handshake { connector: self.0.clone(), domain: domain.to_owned() })
    }
}

/// A handshake with one server.
struct Handshake {
    connector: TlsConnector,
    domain: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let domain = ServerName::try_from(self.domain).map_err(io::Error::other)?;
            Ok(Stream(self.connector.connect(domain, stream).await?))
        })
    }
}

/// A TLS connection, as tokio-postgres wants it.
struct Stream<S>(TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> tokio_postgres::tls::TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
