# memcached behind interlock: the file is copied out of the image of examples/container.
#
#   docker build -f examples/kubernetes/memcached.Dockerfile -t registry.example.com/memcached-interlock:1.6 .
FROM memcached:1.6
COPY --from=registry.example.com/interlock:1.0.0 /interlock /interlock
ENTRYPOINT ["/interlock", "run", "--"]
CMD ["memcached"]
