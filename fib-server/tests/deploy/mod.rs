//! What `deploy/` promises, with the programs that it is written for: HAProxy, Prometheus,
//! systemd's own tools, and the published schemas of Kubernetes and Grafana.

mod grafana;
mod haproxy;
mod kubernetes;
mod prometheus;
mod support;
mod systemd;
