/*
 * report_sheet - a tally as a sheet: which figures and tables a report has, and what they are called.
 *
 * Threads: any. Ownership: the arena's; it points into the tally.
 */
#pragma once

#include "worker/ctl/audit/sheet.h"
#include "worker/ctl/audit/tally.h"

/* `tally`: closed, of that period. */
struct sheet *report_sheet(const struct tally *tally, const struct tally_period *period, const char *topic, usec_t now,
                           struct arena *arena);
