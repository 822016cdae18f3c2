-- What is deleted and may still have something on a machine: few, and asked for by every list.

create index experiment_deleting on experiment (id)
  where deleted_at is not null and (phase <> 'terminated' or headline = 'two-jobs');
