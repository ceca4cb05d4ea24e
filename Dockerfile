# The gateway and nothing else: one static binary, no shell, not root.
#
#   docker build -t portcullis .
#   docker run -p 8080:8080 -v "$PWD/portcullis.yaml:/etc/portcullis/portcullis.yaml:ro" portcullis

# The build runs on the builder's own processor and compiles for the target's.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src

# Modules first: this layer stays as long as the dependencies do.
COPY go.mod go.sum ./
RUN go mod download

COPY . .
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags='-s -w' -o /out/portcullis ./cmd/portcullis

FROM scratch
# To trust the token system's certificate.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/portcullis /portcullis
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/portcullis"]
CMD ["serve", "-c", "/etc/portcullis/portcullis.yaml"]
