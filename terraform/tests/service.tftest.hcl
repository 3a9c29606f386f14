# Guards the bill of an idle service, who may call it, and that an apply leaves a deployment alone.

mock_provider "google" {
  source = "./tests/mocks"
}

variables {
  project_id = "my-project"
  region     = "europe-west1"
}

# Bill: an instance that is never used, at all hours.
run "scales_to_zero" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.function.scaling[0].min_instance_count == 0
    error_message = "The service keeps instances while nobody calls it."
  }

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].scaling[0].min_instance_count == 0
    error_message = "A revision keeps instances of its own: each tagged one would, without traffic."
  }
}

# Bill: processors of idle instances, as the provider's default is once `resources` is written.
run "processors_are_billed_for_requests_only" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].containers[0].resources[0].cpu_idle == true
    error_message = "cpu_idle must be written as true."
  }

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].containers[0].resources[0].startup_cpu_boost == true
    error_message = "Cold starts want the boost."
  }
}

# Bill: a flood of requests, or a loop.
run "instances_are_bounded_for_the_service_as_for_a_revision" {
  command = plan

  variables {
    service = { min_instances = 2, max_instances = 7 }
  }

  assert {
    condition     = google_cloud_run_v2_service.function.scaling[0].max_instance_count == 7 && google_cloud_run_v2_service.function.template[0].scaling[0].max_instance_count == 7
    error_message = "Both levels must be bounded: without a bound the region's quota is the bound."
  }

  assert {
    condition     = google_cloud_run_v2_service.function.scaling[0].min_instance_count == 2 && google_cloud_run_v2_service.function.template[0].scaling[0].min_instance_count == 0
    error_message = "Warm instances belong to the service, not to each revision."
  }
}

# Bill: an idle instance is billed for each liveness probe. Cold start: it waits for the next startup probe.
run "probes" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].containers[0].startup_probe[0].http_get[0].path == "/readyz" && google_cloud_run_v2_service.function.template[0].containers[0].startup_probe[0].period_seconds == 1
    error_message = "Startup must be /readyz, asked each second."
  }

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].containers[0].liveness_probe[0].http_get[0].path == "/livez" && google_cloud_run_v2_service.function.template[0].containers[0].liveness_probe[0].period_seconds >= 60
    error_message = "Liveness must be /livez, seldom."
  }
}

# Regression: a service that the internet may call.
run "nobody_may_call_it" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.function.invoker_iam_disabled == false
    error_message = "The check of callers must be on."
  }

  assert {
    condition     = length(google_cloud_run_v2_service_iam_member.invoker) == 0
    error_message = "No caller is granted by default."
  }
}

# Regression: callers that are let in to more than this service.
run "invokers_may_call_it" {
  command = plan

  variables {
    service = { invokers = ["group:vision@example.com"] }
  }

  assert {
    condition     = google_cloud_run_v2_service_iam_member.invoker["group:vision@example.com"].role == "roles/run.invoker" && google_cloud_run_v2_service.function.invoker_iam_disabled == false
    error_message = "An invoker gets the role on the service, and the check stays."
  }
}

# Regression: allUsers, which domain-restricted sharing refuses in the middle of an apply.
run "public_is_a_switch_not_a_grant" {
  command = plan

  variables {
    service = { public = true }
  }

  assert {
    condition     = google_cloud_run_v2_service.function.invoker_iam_disabled == true && length(google_cloud_run_v2_service_iam_member.invoker) == 0
    error_message = "Public must be invoker_iam_disabled, without a grant."
  }
}

# Regression: a plan that never ends, where one of the two is missing; threads for the host's processors;
# an instance that is killed for want of memory.
run "processors_and_memory" {
  command = plan

  variables {
    service = { cpu = 4, memory_mib = 4096 }
  }

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].containers[0].resources[0].limits == tomap({ cpu = "4", memory = "4096Mi" })
    error_message = "Processors and memory must both be written."
  }

  assert {
    condition     = { for env in google_cloud_run_v2_service.function.template[0].containers[0].env : env.name => env.value }["ZEROPOINT_CPUS"] == "4"
    error_message = "The function must be told its processors."
  }

  assert {
    condition     = { for env in google_cloud_run_v2_service.function.template[0].containers[0].env : env.name => env.value }["ZEROPOINT_MAX_LOADED_BYTES"] == "1073741824"
    error_message = "Models may take a quarter of the memory."
  }
}

# Regression: a 504 of Cloud Run in the place of a refusal that says when to come again.
run "function_gives_up_before_cloud_run" {
  command = plan

  variables {
    service = { timeout_s = 300 }
  }

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].timeout == "300s" && { for env in google_cloud_run_v2_service.function.template[0].containers[0].env : env.name => env.value }["ZEROPOINT_TIMEOUT_S"] == "295"
    error_message = "ZEROPOINT_TIMEOUT_S must be below the service's timeout."
  }
}

# Regression: a GPU is refused by Cloud Run if its processors are not always there.
run "gpu" {
  command = plan

  variables {
    service = { cpu = 4, memory_mib = 16384, gpu = {}, max_instances = 1 }
  }

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].node_selector[0].accelerator == "nvidia-l4" && google_cloud_run_v2_service.function.template[0].containers[0].resources[0].limits["nvidia.com/gpu"] == "1"
    error_message = "One L4 was asked for."
  }

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].containers[0].resources[0].cpu_idle == false && google_cloud_run_v2_service.function.template[0].gpu_zonal_redundancy_disabled == true
    error_message = "A GPU needs cpu_idle = false, and zonal redundancy only where asked for."
  }
}

# Regression: a volume that is not mounted on the first generation, or a bucket named with gs://.
run "models_as_a_volume" {
  command = plan

  variables {
    models = { bucket = "my-models", prefix = "vision" }
  }

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].execution_environment == "EXECUTION_ENVIRONMENT_GEN2"
    error_message = "Volumes of Cloud Storage need the second generation."
  }

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].volumes[0].gcs[0].bucket == "my-models" && google_cloud_run_v2_service.function.template[0].volumes[0].gcs[0].read_only == true
    error_message = "The repository is mounted by its bucket's name, to be read."
  }

  assert {
    condition     = { for env in google_cloud_run_v2_service.function.template[0].containers[0].env : env.name => env.value }["ZEROPOINT_MODELS"] == "/mnt/models/vision"
    error_message = "The function reads the volume."
  }

  assert {
    condition     = google_storage_bucket_iam_member.runtime_models[0].role == "roles/storage.objectViewer"
    error_message = "The service may read its models, and no more."
  }
}

# Regression: a volume that nobody asked for, with a slower start.
run "models_downloaded" {
  command = plan

  variables {
    models = { bucket = "my-models", mount = false }
  }

  assert {
    condition     = length(google_cloud_run_v2_service.function.template[0].volumes) == 0 && { for env in google_cloud_run_v2_service.function.template[0].containers[0].env : env.name => env.value }["ZEROPOINT_MODELS"] == "gs://my-models"
    error_message = "Without mount, the function reads the bucket itself."
  }
}

# Regression: a secret that changes under a running service.
run "secrets_are_pinned_and_granted_one_by_one" {
  command = plan

  variables {
    service = { secrets = { KEY = { secret = "partner-key", version = "3" } } }
  }

  assert {
    condition     = [for env in google_cloud_run_v2_service.function.template[0].containers[0].env : env.value_source[0].secret_key_ref[0].version if env.name == "KEY"] == ["3"]
    error_message = "The secret's version must be the one that was named."
  }

  assert {
    condition     = google_secret_manager_secret_iam_member.runtime["partner-key"].role == "roles/secretmanager.secretAccessor"
    error_message = "The service may read this secret."
  }
}

# Regression: destroyed by a plan that nobody read.
run "protected_from_deletion" {
  command = plan

  assert {
    condition     = google_cloud_run_v2_service.function.deletion_protection == true
    error_message = "Protection must be on by default."
  }
}

# Regression: an apply undoes what the pipeline deployed, with all traffic to the old image.
run "first_apply" {
  variables {
    service = { image = "example.com/first" }
  }

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].containers[0].image == "example.com/first"
    error_message = "The first apply takes the image as it is given."
  }
}

run "next_apply_leaves_the_image_and_changes_the_shape" {
  variables {
    service = { image = "example.com/second", concurrency = 4 }
    labels  = { team = "vision" }
  }

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].containers[0].image == "example.com/first" && google_cloud_run_v2_service.function.template[0].labels == tomap({ app = "zeropoint" })
    error_message = "The pipeline owns image and labels of a revision after the first apply."
  }

  assert {
    condition     = google_cloud_run_v2_service.function.template[0].max_instance_request_concurrency == 4 && google_cloud_run_v2_service.function.labels["team"] == "vision"
    error_message = "Terraform owns the service's shape."
  }
}
