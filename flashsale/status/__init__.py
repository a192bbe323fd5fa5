"""How everything stands, from the topics and the consumer group: no worker is asked, none has to run."""
