include:
  - course_env.environment
  - course_env.packages
