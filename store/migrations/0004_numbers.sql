-- The number of an experiment is part of the names of its jobs, and SkyPilot remembers jobs for longer than a desk may
-- live. So a desk begins to count at a number of its own: else what an earlier desk launched, or another one on the same
-- SkyPilot, could be taken for the work of an experiment that was given the same name.

select setval(pg_get_serial_sequence('experiment', 'id'), 100000 + floor(random() * 900000)::integer)
where not exists (select from experiment);
