# The same image on Kubernetes: renders the manifests and talks to no cluster, so that kubectl (or a
# GitOps folder) applies what you have read.
#
#     terraform init && terraform apply -var image=…
#     terraform output -raw knative | kubectl apply -f -     # Knative Serving 1.10 or newer
#     terraform output -raw kserve  | kubectl apply -f -     # KServe 0.16 or newer, in Knative mode

terraform {
  required_version = ">= 1.9"
}

locals {
  # ZEROPOINT_CPUS: on a node the process sees all processors, and its share only as a quota.
  environment = merge({ ZEROPOINT_CPUS = tostring(var.cpu) }, var.settings)

  values = {
    name                   = var.name
    namespace              = var.namespace
    image                  = var.image
    google_service_account = var.google_service_account
    public                 = var.public
    cpu                    = tostring(var.cpu)
    memory                 = var.memory
    min                    = var.scaling.min
    max                    = var.scaling.max
    concurrency            = var.concurrency
    timeout_s              = var.timeout_s
    environment            = local.environment
  }

  # What both kinds of manifest have in common, as lines that each indents to its own depth.
  container = templatefile("${path.module}/container.yaml.tftpl", local.values)
  account   = templatefile("${path.module}/account.yaml.tftpl", local.values)
}
