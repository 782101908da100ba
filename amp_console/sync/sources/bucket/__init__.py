"""Objects in a bucket (Amazon S3, Google Cloud Storage, Azure): listed, and each read once."""
