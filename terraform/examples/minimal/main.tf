# The service alone: private, scaled to zero, with the model of its image.

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

  service = {
    image    = var.image
    invokers = var.invokers
  }
}
