-- Whose a sweep is, so that a worker that was started again goes on with its own at once.

alter table review_sweep add column worker text;
