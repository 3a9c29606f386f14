# A photo that is uploaded to a bucket is answered in another, once, though it be delivered twice.

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
  project = var.project_id
  region  = var.region
}

module "zeropoint" {
  source = "../.."

  project_id          = var.project_id
  region              = var.region
  deletion_protection = false # an example is to be taken down again
  alert_emails        = var.alert_emails

  service = {
    image    = var.image
    invokers = var.invokers
  }

  events = {
    delivery    = var.delivery
    input_days  = 30
    result_days = 90
  }
}
