locals {
  builder_acts_as = var.build == null ? {} : merge(
    { runtime = google_service_account.runtime.name },
    local.triggered ? { builder = google_service_account.builder[0].name } : {}, # to run the second trigger
    { for account in google_service_account.batch : "batch" => account.name },
    { for account in google_service_account.vertex : "vertex" => account.name },
  )

  triggered = try(var.build.repository, null) != null

  # What cloudbuild.yaml and deploy/release.yaml are told, each in the variables that both declare.
  substitutions = var.build == null ? {} : {
    _IMAGE   = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images[0].repository_id}/${var.name}"
    _REGION  = var.region
    _SERVICE = google_cloud_run_v2_service.function.name
  }
}

resource "google_artifact_registry_repository" "images" {
  # checkov:skip=CKV_GCP_84: Google's keys encrypt it; the images hold open models and no secret
  count = var.build == null ? 0 : 1

  project       = var.project_id
  location      = var.region
  repository_id = var.name
  description   = "Images of ${var.name}"
  format        = "DOCKER"
  labels        = local.labels

  # The pipeline tags each image with its commit. What is deployed keeps that tag, as tags do not move,
  # and only what has none is deleted: by age alone, a policy would one day delete what is serving.
  docker_config {
    immutable_tags = true
  }

  cleanup_policy_dry_run = false

  cleanup_policies {
    id     = "delete-untagged"
    action = "DELETE"
    condition {
      tag_state  = "UNTAGGED"
      older_than = "${var.build.untagged_days * 86400}s" # in seconds, as it is read back
    }
  }

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = var.build.keep_images
    }
  }

  depends_on = [google_project_service.api]
}

# --- the account that builds and deploys ---

resource "google_service_account" "builder" {
  count = var.build == null ? 0 : 1

  project      = var.project_id
  account_id   = "${var.name}-builder"
  display_name = "${var.name}: builds and deploys"
  depends_on   = [google_project_service.api]
}

resource "google_artifact_registry_repository_iam_member" "builder" {
  count = var.build == null ? 0 : 1

  project    = var.project_id
  location   = var.region
  repository = google_artifact_registry_repository.images[0].name
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.builder[0].member
}

# Deploys to this service, and calls it: the smoke test is a prediction.
resource "google_cloud_run_v2_service_iam_member" "builder" {
  for_each = var.build == null ? [] : toset(["roles/run.developer", "roles/run.invoker"])

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_service.function.name
  role     = each.key
  member   = google_service_account.builder[0].member
}

resource "google_cloud_run_v2_job_iam_member" "builder" {
  count = var.build != null && var.batch != null ? 1 : 0

  project  = var.project_id
  location = var.region
  name     = google_cloud_run_v2_job.batch[0].name
  role     = "roles/run.developer"
  member   = google_service_account.builder[0].member
}

# Who deploys a container acts as its account: as these, and no other of the project.
resource "google_service_account_iam_member" "builder_acts_as" {
  for_each = local.builder_acts_as

  service_account_id = each.value
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.builder[0].member
}

# The metadata server of Cloud Build gives no identity tokens: the smoke test asks for one as itself.
resource "google_service_account_iam_member" "builder_signs" {
  count = var.build == null ? 0 : 1

  service_account_id = google_service_account.builder[0].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_service_account.builder[0].member
}

# On the project, as there is no narrower place: builds, scans, provenance and logs have no policy of
# their own, and that of an endpoint is in the beta provider only.
resource "google_project_iam_member" "builder" {
  for_each = var.build == null ? [] : toset(concat(
    ["roles/logging.logWriter", "roles/ondemandscanning.admin"],
    # A release is started by a build, reads its provenance, and looks for errors in the service's log.
    local.triggered ? ["roles/cloudbuild.builds.editor", "roles/containeranalysis.occurrences.viewer", "roles/logging.viewer"] : [],
    local.triggered && var.vertex != null ? ["roles/aiplatform.user"] : [],
  ))

  project = var.project_id
  role    = each.key
  member  = google_service_account.builder[0].member
}

# Where `gcloud builds submit` puts the source: a bucket of our own, as the default one is the project's.
resource "google_storage_bucket" "source" {
  # checkov:skip=CKV_GCP_62: audit logs tell who read what, where the project has them on; usage logs would want a bucket more
  # checkov:skip=CKV_GCP_78: an upload is read once and deleted after a week
  count = var.build == null ? 0 : 1

  project                     = var.project_id
  name                        = "${var.project_id}-${var.name}-source"
  location                    = var.region
  labels                      = local.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  soft_delete_policy {
    retention_duration_seconds = 0
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      age = 7
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_storage_bucket_iam_member" "builder_source" {
  count = var.build == null ? 0 : 1

  bucket = google_storage_bucket.source[0].name
  role   = "roles/storage.objectViewer"
  member = google_service_account.builder[0].member
}

# --- the triggers ---

resource "google_cloudbuild_trigger" "build" {
  count = local.triggered ? 1 : 0

  project         = var.project_id
  location        = var.region # the repository's
  name            = "${var.name}-build"
  description     = "Builds ${var.name} on a push to ${var.build.branch}"
  filename        = "cloudbuild.yaml"
  service_account = google_service_account.builder[0].id
  ignored_files   = ["**/*.md", "terraform/**"]
  tags            = [var.name]

  substitutions = merge(
    local.substitutions,
    {
      _RELEASE_TRIGGER = google_cloudbuild_trigger.release[0].name
      # The nearest of the three places where images are scanned.
      _SCAN_LOCATION = lookup({ africa = "europe", asia = "asia", australia = "asia", europe = "europe", me = "europe" }, split("-", var.region)[0], "us")
    },
    var.build.substitutions,
  )

  repository_event_config {
    repository = var.build.repository
    push {
      branch = "^${replace(var.build.branch, ".", "\\.")}$"
    }
  }

  depends_on = [google_project_iam_member.builder, google_service_account_iam_member.builder_acts_as]
}

# Run by the last step of a build: an image has no provenance before its build has ended.
resource "google_cloudbuild_trigger" "release" {
  count = local.triggered ? 1 : 0

  project         = var.project_id
  location        = var.region
  name            = "${var.name}-release"
  description     = "Brings what ${var.name}-build has built to the callers"
  service_account = google_service_account.builder[0].id
  substitutions   = merge(local.substitutions, { for job in google_cloud_run_v2_job.batch : "_JOB" => job.name })
  tags            = [var.name]

  source_to_build {
    repository = var.build.repository
    ref        = "refs/heads/${var.build.branch}"
    repo_type  = "UNKNOWN" # of a Cloud Build repository, its connection tells
  }

  git_file_source {
    path       = "deploy/release.yaml"
    repository = var.build.repository
    revision   = "refs/heads/${var.build.branch}"
    repo_type  = "UNKNOWN"
  }

  approval_config {
    approval_required = var.build.approval
  }

  depends_on = [google_project_iam_member.builder]
}
