# Every concern at once. inventory.txt is its plan.

terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.9, < 8"
    }
  }
}

provider "google" {
  project        = var.project_id
  region         = var.region
  default_labels = { environment = "example" }

  # The budget's API wants a project to count its calls to, where a person applies this.
  billing_project       = var.project_id
  user_project_override = true
}

module "zeropoint" {
  source = "../.."

  project_id          = var.project_id
  region              = var.region
  labels              = { team = "vision" }
  deletion_protection = false # an example is to be taken down again
  alert_emails        = var.alert_emails

  service = {
    image         = var.image
    invokers      = var.invokers
    max_instances = 20
    read_buckets  = [google_storage_bucket.photos.name]
    env           = { ZEROPOINT_MAX_PIXELS = "25165824" }
    secrets       = { PARTNER_KEY = { secret = google_secret_manager_secret.partner_key.secret_id, version = "1" } }
  }

  models = {
    bucket = google_storage_bucket.models.name
    prefix = "production"
  }

  events = {
    object_prefix = "photos/"
    input_days    = 30
    result_days   = 365
  }

  bigquery = {
    dataset_id = "predictions"
    routines = {
      classify = { model = "efficientnet-lite0", parameters = jsonencode({ top_k = 3 }) }
      phishing = { model = "phishing", arguments = [{ name = "row", type = "JSON" }], max_batching_rows = 512 }
    }
  }

  batch = {
    tasks        = 10
    parallelism  = 5
    read_buckets = [google_storage_bucket.photos.name]
    schedule     = { cron = "0 3 * * *", time_zone = "Europe/Berlin" }
  }

  build = {
    repository = var.repository
    approval   = true
  }

  monitoring = {
    availability_goal = 0.995
    latency_ms        = 500
    cold_start_ms     = 5000
  }

  budget = {
    billing_account = var.billing_account
    amount          = 50
  }

  vertex = {}
}

# --- what is there already, where a project is in use ---

resource "google_storage_bucket" "models" {
  # checkov:skip=CKV_GCP_62: audit logs tell who read what, where the project has them on; usage logs would want a bucket more
  project                     = var.project_id
  name                        = "${var.project_id}-models"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true # the way back from a wrong model
  }
}

resource "google_storage_bucket" "photos" {
  # checkov:skip=CKV_GCP_62: audit logs tell who read what, where the project has them on; usage logs would want a bucket more
  project                     = var.project_id
  name                        = "${var.project_id}-photos"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }
}

# The secret without its versions: what Terraform writes, its state can read.
resource "google_secret_manager_secret" "partner_key" {
  project   = var.project_id
  secret_id = "partner-key"

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
}
