/*
 * login - a person's way in, for the one user of the configuration (rest.md 15).
 *
 * Threads: any.
 */
#pragma once

#include "api/api.h"

extern const struct schema login_schema;

int login_in(struct api_call *call, struct err *err);  /* POST /login */
int login_out(struct api_call *call, struct err *err); /* POST /logout */
