# One metric of every subject over time, with its measurement error, with base R alone.
#   Rscript trend.R http://127.0.0.1:8000 hip_ext_excursion_stance [KEY]
arguments <- commandArgs(trailingOnly = TRUE)
address <- paste0(arguments[1], "/api/v1/tables/trial_metrics?format=csv&metric=", arguments[2])
headers <- if (length(arguments) > 2) c(Authorization = paste("Bearer", arguments[3])) else NULL
rows <- read.csv(url(address, headers = headers), na.strings = "")
rows <- rows[!is.na(rows$mean) & rows$quality != "excluded", ]
rows$captured_at <- as.POSIXct(rows$captured_at, format = "%Y-%m-%dT%H:%M:%OSZ", tz = "UTC")
rows$half_width <- (rows$ci95_high - rows$ci95_low) / 2
rows <- rows[order(rows$subject, rows$side, rows$captured_at), ]
print(rows[, c("subject", "session", "phase", "side", "unit", "speed_mps", "mean", "half_width", "quality")],
      row.names = FALSE)
