"""The Spark session, its JVM, and what fails inside it."""
