# One metric of every subject over time, with its measurement error, with base R alone.
#   Rscript trend.R http://127.0.0.1:8000 hip_ext_excursion_stance [KEY]
arguments <- commandArgs(trailingOnly = TRUE)
address <- paste0(arguments[1], "/api/v1/tables/session_metrics?format=csv&metric=", arguments[2])
headers <- if (length(arguments) > 2) c(Authorization = paste("Bearer", arguments[3])) else NULL
rows <- read.csv(url(address, headers = headers), na.strings = "")
# What may not be compared is left out; excluded trials are no part of a visit.
rows <- rows[!is.na(rows$mean) & is.na(rows$not_for_comparison), ]
rows$captured_at <- as.POSIXct(rows$captured_at, format = "%Y-%m-%dT%H:%M:%OSZ", tz = "UTC")
rows$half_width <- (rows$ci95_high - rows$ci95_low) / 2
rows <- rows[order(rows$subject, rows$side, rows$captured_at), ]
print(rows[, c("subject", "session", "phase", "kind", "side", "unit", "speed_mps", "mean", "half_width", "quality")],
      row.names = FALSE)
