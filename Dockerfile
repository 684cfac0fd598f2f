# The server alone: static programs and their licences, and nothing else, not even a shell.
# docs/dist.md tells how target/image is filled from the archives.
FROM scratch
ARG TARGETARCH

COPY target/image/${TARGETARCH}/fib-server target/image/${TARGETARCH}/fib-client /
COPY target/image/${TARGETARCH}/LICENSE-APACHE target/image/${TARGETARCH}/LICENSE-MIT target/image/${TARGETARCH}/fib.cdx.json /usr/share/doc/fib/
COPY target/image/${TARGETARCH}/licences/ /usr/share/doc/fib/licences/

LABEL org.opencontainers.image.title="fib-server" \
      org.opencontainers.image.description="A TCP server that answers 30 with 832040: a CPU-bound service under the concurrency strategy of your choice" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

# Clients come from outside of the container, and so does who asks for health and metrics. Which
# clients is for the network to say, or for FIB_ALLOW; 127.0.0.1 is who checks the health below.
ENV FIB_LISTEN=0.0.0.0:25000 \
    FIB_ALLOW=any \
    FIB_ADMIN=0.0.0.0:9100
EXPOSE 25000 9100

# Nobody; as a number, because there is no file that knows names.
USER 65534:65534

# It answers what it has received, and ends.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/fib-client", "get", "1"]
ENTRYPOINT ["/fib-server"]
