output "knative" {
  description = "A Knative service: YAML for kubectl apply."
  value       = "${local.account}${templatefile("${path.module}/knative.yaml.tftpl", merge(local.values, { container = local.container }))}"
}

output "kserve" {
  description = "A KServe InferenceService with the image as its own predictor: YAML for kubectl apply."
  value       = "${local.account}${templatefile("${path.module}/kserve.yaml.tftpl", merge(local.values, { container = local.container }))}"
}
