//! What becomes known of a request on its way, for its records and its metrics.

