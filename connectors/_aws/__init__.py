"""Ways into what AWS keeps: objects in S3, notifications in SQS, and the services' own APIs.

`s3`        every object below a prefix, listed: back-fill and tail
`sqs`       objects as S3 tells of them through SQS
`digest`    CloudTrail's digest files: nothing altered, nothing missing
`lookup`    CloudTrail's event history
`findings`  GuardDuty and Security Hub
`logs`      CloudWatch Logs
`windows`   what those of the APIs share: time in windows, pages, positions
`account`   credentials, clients, and what refusals mean
`objects`   where objects lie and how they are cut into records

boto3 is imported when a client is made, since it takes a second and 30 MiB.
"""
