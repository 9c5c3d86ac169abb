/*
 * store/open.h: from the setting `store` to a driver and its place. What it does not know is refused by name.
 * Runs in: the processes that read the configuration; the keeper. Pure. Fails: words.
 */
#ifndef CRESCENT_STORE_OPEN_H
#define CRESCENT_STORE_OPEN_H

#include "base/error.h"
#include "base/slice.h"

struct store_driver;

/* "sqlite:crescent.db": the driver, and the path as it stands there (borrowed). -1: "expected sqlite:PATH, got ...". */
int store_open_read(const char *url, const struct store_driver **driver_out, struct slice *path_out, struct error *err);

#endif
